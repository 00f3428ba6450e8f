//! Codes and variables: all faults are reported at once, without secrets.

use std::time::Duration;

use harness::client::Client;
use harness::process::Process;
use harness::relay::{CODE, Setup};
use harness::wait;
use serde_json::json;

const LIMIT: Duration = harness::wait::TIMEOUT;

async fn exit_code_and_log(setup: Setup) -> (Option<i32>, String) {
    let mut process: Process = setup.spawn();
    let status = process.exit(LIMIT).await;
    // The last lines may arrive a moment after the exit.
    process.log.wait_for("correction").await;
    wait::until("the log's last line", async || process.log.text().contains("start again").then_some(()))
        .await;
    (status.code(), process.log.text())
}

/// Variables with invalid values, without those of secrets.
const BAD_IN_BOTH: [(&str, &str); 25] = [
    ("MCP_SERVER_HOST", "not a host!"),
    ("MCP_SERVER_PORT", "70000"),
    ("AUTH_CUSTOM_HEADER", "a b"),
    ("ALLOWED_ORIGINS", "no origin"),
    ("MAX_BODY_BYTES", "12 MB"),
    ("MAX_BODIES_BYTES", "128 MiB"),
    ("MAX_CONNECTIONS", "some"),
    ("MAX_CONNECTIONS_PER_ADDRESS", "0"),
    ("MAX_STREAMS_PER_CLIENT", "-1"),
    ("CLIENT_STALL_TIMEOUT", "0"),
    ("REQUEST_TIMEOUT", "soon"),
    ("REQUEST_TIMEOUT_TOTAL", "-1"),
    ("SESSION_TTL", "0"),
    ("SHUTDOWN_GRACE", "never"),
    ("LOG_FORMAT", "xml"),
    ("LOG_LEVEL", "loud"),
    ("SSE_KEEPALIVE", "0"),
    ("LIST_TTL_MS", "1.5"),
    ("LINK_PING_INTERVAL_MS", "often"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ("OTEL_TRACES_SAMPLER", "sometimes"),
    ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
    ("OTEL_RESOURCE_ATTRIBUTES", "team"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "none"),
];

const BAD_IN_PROXY: [(&str, &str); 15] = [
    ("PROXY_WS_HOST", "::g"),
    ("PROXY_WS_PORT", "80-01"),
    ("SLAVE_CODES_FILE", "/no/such/codes"),
    ("HANDSHAKE_RATE", "fast"),
    ("TRUSTED_PROXIES", "everyone"),
    ("TLS_CERT", "/no/such/certificate"),
    ("TLS_KEY", "/no/such/key"),
    ("TLS_WS", "wss"),
    ("TLS_HTTP", "https"),
    ("SLAVE_MODE", "triple"),
    ("TOOL_CONFLICT", "fight"),
    ("ROUTES", "/no/such/routes"),
    ("LINK_GRACE", "1h"),
    ("READY_MIN_SLAVES", "-3"),
    ("MAX_SLAVES", "many"),
];

const BAD_IN_SLAVE: [(&str, &str); 13] = [
    ("PROXY_SERVER_URL", "http://localhost:8001"),
    ("PROXY_CA_FILE", "/no/such/ca"),
    ("PROXY_CLIENT_CERT", "/no/such/certificate"),
    ("PROXY_CLIENT_KEY", "/no/such/key"),
    ("SLAVE_NAME", "two words"),
    ("SLAVE_LABELS", "no-value"),
    ("SLAVE_CAPACITY", "-1"),
    ("SLAVE_BACKENDS", "/no/such/file.json"),
    ("DEMO_TOOLS", "perhaps"),
    ("RECONNECT_MAX", "x"),
    ("SLAVE_JOURNAL_BYTES", "lots"),
    ("MAX_OUTPUT_BYTES", "1GB"),
    ("MAX_DIFF_CHARS", "few"),
];

async fn all_are_reported(mode: &str, own: &[(&str, &str)]) {
    let mut setup = Setup::bare(mode)
        .env(mode, "1")
        .env("SESSION_KEY", "too-short-canary")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization: canary")
        .env("LINK_PING_TIMEOUT_MS", "x");
    if mode == "PROXY_SLAVE" {
        setup = setup.env("SLAVE_CODE", "two,codes-canary");
    }
    for (name, value) in BAD_IN_BOTH.iter().chain(own) {
        setup = setup.env(name, *value);
    }
    let (code, log) = exit_code_and_log(setup).await;
    assert_eq!(code, Some(64), "{log}");
    for (name, value) in BAD_IN_BOTH.iter().chain(own) {
        let line = log.lines().find(|line| line.trim_start().starts_with(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("{name} is not reported:\n{log}"));
        assert!(line.contains(value) && line.contains("expected "), "{line}");
    }
    for name in ["SESSION_KEY", "LINK_PING_TIMEOUT_MS", "OTEL_EXPORTER_OTLP_HEADERS"] {
        assert!(log.contains(name), "{name}: {log}");
    }
    assert!(!log.contains("canary"), "a secret's value is shown:\n{log}");
}

#[tokio::test]
async fn a_proxy_reports_all_its_bad_variables_at_once() {
    all_are_reported("PROXY_MODE", &BAD_IN_PROXY).await;
}

#[tokio::test]
async fn a_slave_reports_all_its_bad_variables_at_once() {
    all_are_reported("PROXY_SLAVE", &BAD_IN_SLAVE).await;
}

/// Variables that name a file or folder, and what reads them.
const PATHS: [(&str, &[&str]); 15] = [
    ("AUTH_BEARER_KEYS_FILE", &["PROXY_MODE", "PROXY_SLAVE"]),
    ("OPS_KEYS_FILE", &["PROXY_MODE", "PROXY_SLAVE"]),
    ("SESSION_KEY_FILE", &["PROXY_MODE"]),
    ("SLAVE_CODES_FILE", &["PROXY_MODE"]),
    ("TLS_CERT", &["PROXY_MODE"]),
    ("TLS_KEY", &["PROXY_MODE"]),
    ("ROUTES", &["PROXY_MODE"]),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", &["PROXY_MODE", "PROXY_SLAVE"]),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", &["PROXY_MODE", "PROXY_SLAVE"]),
    ("SLAVE_CODE_FILE", &["PROXY_SLAVE"]),
    ("PROXY_CA_FILE", &["PROXY_SLAVE"]),
    ("PROXY_CLIENT_CERT", &["PROXY_SLAVE"]),
    ("PROXY_CLIENT_KEY", &["PROXY_SLAVE"]),
    ("SLAVE_BACKENDS", &["PROXY_SLAVE"]),
    ("MR_PILOT_CWD", &["PROXY_SLAVE"]),
];

#[tokio::test]
async fn what_cannot_be_read_is_told_in_words_without_numbers_of_the_system() {
    for (name, modes) in PATHS {
        for mode in modes {
            let missing = "/no/such/folder/file";
            let mut setup =
                Setup::bare(mode).env(mode, "1").env("MCP_SERVER_PORT", "0").env("PROXY_WS_PORT", "0");
            // The other half of a pair is there, so that it is not what is missing.
            setup = match name {
                "TLS_CERT" => setup.env("TLS_KEY", missing),
                "TLS_KEY" => setup.env("TLS_CERT", missing),
                "PROXY_CLIENT_CERT" => setup.env("PROXY_CLIENT_KEY", missing),
                "PROXY_CLIENT_KEY" => setup.env("PROXY_CLIENT_CERT", missing),
                _ => setup,
            };
            if name != "SLAVE_CODES_FILE" && *mode == "PROXY_MODE" {
                setup = setup.env("SLAVE_CODES", "code-of-the-tests");
            }
            if name != "SLAVE_CODE_FILE" && *mode == "PROXY_SLAVE" {
                setup = setup.env("SLAVE_CODE", "code-of-the-tests");
            }
            let mut process = setup.env(name, missing).spawn();
            assert_eq!(process.exit(LIMIT).await.code(), Some(64), "{name}: {}", process.log.text());
            process.log.wait_for("o such file or directory").await;
            let log = process.log.text();
            assert!(log.contains(name) && !log.contains("os error"), "{name}: {log}");
        }
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_in_words_with_the_variable() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (mode, code) in [("PROXY_MODE", "SLAVE_CODES"), ("PROXY_SLAVE", "SLAVE_CODE")] {
        let setup = Setup::bare(mode).env(mode, "1").env(code, "code-of-the-tests");
        let mut process = setup
            .env("MCP_SERVER_HOST", "127.0.0.1")
            .env("PROXY_WS_PORT", "0")
            .env("MCP_SERVER_PORT", &*port)
            .spawn();
        assert!(!process.exit(LIMIT).await.success());
        let line = process.log.wait_for("cannot listen on").await;
        assert!(line.contains(": address already in use. ") && line.contains("MCP_SERVER_PORT"), "{line}");
    }
}

#[tokio::test]
async fn a_slave_says_which_variables_it_misses() {
    let (code, log) = exit_code_and_log(Setup::bare("slave").env("PROXY_SLAVE", "1")).await;
    assert_eq!(code, Some(64));
    assert!(log.contains("SLAVE_CODE") && !log.contains("PROXY_SERVER_URL"), "{log}");
}

#[tokio::test]
async fn a_slave_without_a_url_dials_the_port_of_the_document_on_this_machine() {
    let setup = Setup::bare("slave").env("PROXY_SLAVE", "1").env("SLAVE_CODE", "code-of-the-tests");
    let slave = setup.env("MCP_SERVER_PORT", "0").spawn();
    slave.log.wait_for("[SLAVE] Connecting to proxy server at ws://localhost:8001").await;
}

#[tokio::test]
async fn a_mode_is_turned_on_by_1_alone_and_a_warning_says_what_was_understood() {
    for name in ["PROXY_MODE", "PROXY_SLAVE"] {
        let setup = Setup::bare("none").env(name, "true").env("MCP_SERVER_PORT", "0").env("DEMO_TOOLS", "1");
        let server = setup.start_slave().await;
        let line = server.log.wait_for(&format!("{name}=\"true\"")).await;
        assert!(line.contains("WARN") && line.ends_with("this process runs as standalone"), "{line}");
        let tools = Client::modern(server.http).tool_names().await;
        assert!(tools.iter().any(|tool| tool == "echo"), "{tools:?}");
    }
}

#[tokio::test]
async fn both_modes_at_once_are_refused() {
    let setup = Setup::bare("both").env("PROXY_MODE", "1").env("PROXY_SLAVE", "1");
    let mut process = setup.spawn();
    assert_eq!(process.exit(LIMIT).await.code(), Some(64));
    let line = process.log.wait_for("PROXY_SLAVE").await;
    assert!(process.log.text().contains("PROXY_MODE"), "{line}");
}

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let mut setup = Setup::proxy();
    for (name, _) in BAD_IN_BOTH.iter().chain(&BAD_IN_PROXY).filter(|(name, _)| !name.ends_with("_PORT")) {
        setup = setup.env(name, "");
    }
    let proxy = setup.env("PROXY_SLAVE", "").env("SESSION_KEY", "").start_proxy().await;
    let _slave =
        Setup::slave("one", proxy.link).env("SLAVE_LABELS", "").env("RECONNECT_MAX", "").start_slave().await;
    proxy.offers("echo").await;
}

#[tokio::test]
async fn without_codes_the_proxy_warns_and_lets_no_one_in() {
    let proxy = Setup::proxy().env("SLAVE_CODES", "").start_proxy().await;
    proxy.log.wait_for("no slave can connect").await;
    let slave = Setup::slave("one", proxy.link).start_slave().await;
    slave.log.wait_for("the proxy does not accept SLAVE_CODE").await;
    let empty = harness::plain::node_slave(proxy.link, "").await.err();
    assert_eq!(empty, Some(Some(4002)), "an empty code is no code");
}

#[tokio::test]
async fn a_slave_with_a_wrong_code_says_what_to_check_and_goes_on_serving_itself() {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = Setup::slave("one", proxy.link).env("SLAVE_CODE", "wrong-code-canary").start_slave().await;
    slave.log.wait_for("the proxy does not accept SLAVE_CODE").await;
    slave.log.wait_for("SLAVE_CODES").await;
    proxy.log.wait_for("[PROXY] Invalid slave code").await;
    let own = Client::modern(slave.http).call("echo", json!({ "text": "own" })).await;
    assert_eq!(own.text(), "own");
    for log in [&proxy.log, &slave.log] {
        let text = log.text();
        assert!(!text.contains("wrong-code-canary") && !text.contains(CODE), "{text}");
    }
}

#[tokio::test]
async fn codes_are_trimmed_and_case_sensitive() {
    let proxy = Setup::proxy().env("SLAVE_CODES", " first , Second,").start_proxy().await;
    for (code, good) in [("first", true), ("Second", true), ("second", false), ("first , Second", false)] {
        assert_eq!(harness::plain::node_slave(proxy.link, code).await.is_ok(), good, "{code:?}");
    }
    let _slave = Setup::slave("one", proxy.link).env("SLAVE_CODE", "  Second ").start_slave().await;
    proxy.offers("echo").await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let proxy = Setup::proxy().start_proxy().await;
    let taken = proxy.http.port().to_string();
    let mut second = Setup::proxy().env("MCP_SERVER_PORT", taken.as_str()).spawn();
    let status = second.exit(LIMIT).await;
    assert!(!status.success() && status.code() != Some(64), "{status:?}");
    let line = second.log.wait_for(&taken).await;
    assert!(line.contains("MCP_SERVER_PORT") || second.log.text().contains("MCP_SERVER_PORT"), "{line}");
}

#[tokio::test]
async fn with_neither_mode_the_tools_are_served_standalone() {
    let setup = Setup::bare("standalone").env("MCP_SERVER_PORT", "0").env("DEMO_TOOLS", "1");
    let standalone = setup.start_slave().await;
    assert_eq!(
        Client::modern(standalone.http).call("echo", json!({ "text": "alone" })).await.text(),
        "alone"
    );
    let legacy = Client::legacy(standalone.http).await;
    assert_eq!(legacy.call("echo", json!({ "text": "alone" })).await.text(), "alone");
}

#[tokio::test]
async fn subcommands_have_complete_help() {
    for args in [
        &["--help"][..],
        &["proxy", "--help"],
        &["slave", "--help"],
        &["doctor", "--help"],
        &["demo", "--help"],
    ] {
        let mut process = Setup::bare("help")
            .args(if args.len() == 1 {
                &["--help"]
            } else {
                match args[0] {
                    "proxy" => &["proxy", "--help"],
                    "slave" => &["slave", "--help"],
                    "doctor" => &["doctor", "--help"],
                    _ => &["demo", "--help"],
                }
            })
            .spawn();
        assert_eq!(process.exit(LIMIT).await.code(), Some(0), "{args:?}");
        process.log.wait_for("Usage").await;
    }
}

#[tokio::test]
async fn doctor_tells_a_good_slave_configuration_from_a_bad_one() {
    let proxy = Setup::proxy().start_proxy().await;
    let doctor =
        |code: &str| Setup::slave("one", proxy.link).env("SLAVE_CODE", code).args(&["doctor"]).spawn();
    let mut good = doctor(CODE);
    assert_eq!(good.exit(LIMIT).await.code(), Some(0), "{}", good.log.text());
    let mut bad = doctor("wrong-code-canary");
    assert_eq!(bad.exit(LIMIT).await.code(), Some(1));
    bad.log.wait_for("SLAVE_CODE").await;
    assert!(!bad.log.text().contains("canary"));
}
