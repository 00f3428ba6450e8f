//! What reaches the CLI and other backends of the slave's environment, and what must not be shown of it.

use harness::client::Client;
use harness::relay::{Proxy, Setup};
use harness::{canary, wait};
use serde_json::json;

use super::{REPORT, read, with_variables};

/// The way to the network, as people set it for all of their programs.
const NETWORK: [(&str, &str); 8] = [
    ("HTTPS_PROXY", "http://corp:proxycanary%21@proxy.corp.example:3128"),
    ("https_proxy", "http://proxy.corp.example:3128"),
    ("HTTP_PROXY", "http://proxy.corp.example:3128"),
    ("NO_PROXY", "localhost,.corp.example"),
    ("no_proxy", "localhost"),
    ("NODE_EXTRA_CA_CERTS", "/etc/ssl/certs/corp.pem"),
    ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
    ("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/corp.pem"),
];

#[tokio::test]
async fn the_cli_gets_the_way_to_the_network_its_own_variables_and_those_named_for_it() {
    let cwd = tempfile::tempdir().unwrap();
    std::fs::write(cwd.path().join(".env"), "LLM_API_KEY=dotenvcanary\n").unwrap();
    let script = format!("env > \"$DIR/env\"\npwd -P > \"$DIR/pwd\"\ncat .env >&2\n{REPORT}");
    let own = [
        ("OPENROUTER_API_KEY", "routercanary"),
        ("OPENROUTER_MODEL", "some/model"),
        ("MR_PILOT_ENV", "CORP_SETTING,NODE_OPTIONS"),
        ("CORP_SETTING", "namedcanary"),
        ("NODE_OPTIONS", "--no-warnings"),
        ("MR_PILOT_CWD", cwd.path().to_str().unwrap()),
        ("GITHUB_API", "https://git.corp.example/hidden"),
        ("UNRELATED_TOKEN", "x"),
    ];
    let (proxy, slave, folder) = with_variables(&script, &[&NETWORK[..], &own].concat()).await;
    let answer = Client::modern(proxy.http).call("review_merge_request", json!({ "mrUrlOrId": "1" })).await;
    assert_eq!(answer.result()["structuredContent"]["success"], true, "{}", answer.result());
    let env = read(&folder, "env");
    for (name, value) in NETWORK.iter().chain(&own[..2]).chain(&own[3..5]) {
        assert!(env.contains(&format!("{name}={value}\n")), "{name} in\n{env}");
    }
    for name in ["SLAVE_CODE", "GITHUB_API", "UNRELATED_TOKEN"] {
        assert!(!env.contains(&format!("{name}=")), "{name} in\n{env}");
    }
    assert_eq!(read(&folder, "pwd").trim_end(), cwd.path().canonicalize().unwrap().to_str().unwrap());
    let warning = slave.log.wait_for("look meant for mr-pilot").await;
    assert!(warning.contains("GITHUB_API") && warning.contains("MR_PILOT_ENV"), "{warning}");
    assert!(!warning.contains("git.corp.example") && !warning.contains("NODE_OPTIONS"), "{warning}");
}

#[tokio::test]
async fn credentials_of_urls_files_and_named_variables_are_shown_nowhere() {
    let cwd = tempfile::tempdir().unwrap();
    std::fs::write(cwd.path().join(".env"), "LLM_API_KEY=\"dotenvcanary\"\n").unwrap();
    // Everything that the CLI has, on every way out of it.
    let script = format!(
        "env; cat .env; env >&2; cat .env >&2; printf 'corp:proxycanary!' | base64; echo 'proxycanary!'\n\
         [ \"$1\" = 2 ] && exit 4\n{}",
        REPORT.replace("<<'END'", "<<END").replace("Sound on the whole.", "$(env) $(cat .env)")
    );
    let more = [
        ("OPENROUTER_API_KEY", "routercanary"),
        ("MR_PILOT_ENV", "CORP_SETTING"),
        ("CORP_SETTING", "namedcanary"),
        ("MR_PILOT_CWD", cwd.path().to_str().unwrap()),
        ("LLM_API_URL", "https://user:urlcanary@llm.corp.example/v1"),
        ("LOG_LEVEL", "debug"),
        ("UI", "1"),
    ];
    // The shell would run what stands in backquotes.
    let script = script.replace("`unwrap`", "unwrap");
    let (proxy, slave, _folder) = with_variables(&script, &[&NETWORK[..], &more].concat()).await;
    let client = Client::modern(proxy.http);
    let mut shown = String::new();
    for target in ["1", "2"] {
        let ask =
            harness::client::McpRequest::tool(1, "review_merge_request", json!({ "mrUrlOrId": target }));
        let answer = client.request(ask.progress(7)).await;
        assert!(!answer.progress().is_empty() || target == "2");
        shown.push_str(&serde_json::Value::from(answer.messages.clone()).to_string());
    }
    assert!(shown.contains("[masked]") && shown.contains("exited with code 4"), "{shown}");
    for text in [&shown, &slave.log.text(), &proxy.log.text()] {
        for word in ["proxycanary", "routercanary", "namedcanary", "dotenvcanary", "urlcanary"] {
            if let Some(line) = canary::find(text, word) {
                panic!("{word} is shown: {line}");
            }
        }
    }
}

#[tokio::test]
async fn stdio_servers_get_the_way_to_the_network_too_and_can_read_their_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("corp.pem");
    std::fs::write(&certificate, "certificate of the tests").unwrap();
    let open = tempfile::tempdir().unwrap();
    let script = "env > \"$0\"; cat \"$SSL_CERT_FILE\" >> \"$0\"; exec cat";
    let (plain, confined) = (open.path().join("plain"), open.path().join("confined"));
    let server = |file: &std::path::Path, confine| json!({ "command": "sh", "args": ["-c", script, file], "confine": confine });
    let servers = json!({ "mcpServers": {
        "plain": server(&plain, json!(true)),
        "confined": server(&confined, json!({ "write": [open.path()] })),
    } });
    let file = folder.path().join("servers.json");
    std::fs::write(&file, servers.to_string()).unwrap();
    let proxy: Proxy = Setup::proxy().start_proxy().await;
    let setup = NETWORK
        .iter()
        .fold(Setup::slave("one", proxy.link), |setup, (name, value)| setup.env(name, *value))
        .env("SSL_CERT_FILE", certificate.to_str().unwrap())
        .env("SLAVE_BACKENDS", file.to_str().unwrap());
    let _slave = setup.start_slave().await;
    for path in [&plain, &confined] {
        let text = wait::until("the server to have run", async || {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.contains("certificate of the tests").then_some(text)
        })
        .await;
        for (name, value) in NETWORK.iter().filter(|(name, _)| *name != "SSL_CERT_FILE") {
            assert!(text.contains(&format!("{name}={value}\n")), "{name} in\n{text}");
        }
        assert!(!text.contains("SLAVE_CODE"), "{text}");
    }
}
