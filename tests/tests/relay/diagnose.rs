//! `mcp-relay diagnose`: the bundle beside a live pair, with a dead proxy, with every secret set, and where it cannot be written.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::canary;
use harness::process;
use harness::relay::{Setup, pair};
use harness::tls::Authority;
use harness::wait;
use serde_json::Value;
use tempfile::TempDir;

/// Every secret of the tests contains this.
const CANARY: &str = "canary";

/// An unpacked bundle.
struct Bundle {
    _folder: TempDir,
    root: PathBuf,
    /// What the command printed.
    printed: String,
}

impl Bundle {
    /// Runs the command with these variables and unpacks what it writes.
    async fn of(setup: Setup, mode: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.tar.gz");
        let output: &'static str = path.to_str().unwrap().to_owned().leak();
        let mut run = setup.args(&["diagnose", mode, "--output", output]).spawn();
        assert_eq!(run.exit(wait::TIMEOUT * 2).await.code(), Some(0), "{}", run.log.text());
        let printed = run.log.wait_for("Written to").await;
        let printed = format!("{}{printed}", run.log.text());
        let unpacked =
            Command::new("tar").arg("xzf").arg(&path).arg("-C").arg(folder.path()).output().unwrap();
        assert!(unpacked.status.success(), "{unpacked:?}");
        let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let root = entries.into_iter().find(|path| path.is_dir()).unwrap();
        Self { _folder: folder, root, printed }
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// All texts, what was printed included.
    fn all(&self) -> String {
        let files = std::fs::read_dir(&self.root).unwrap().map(|entry| entry.unwrap().path());
        let texts: Vec<String> = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        texts.join("\n") + &self.printed
    }

    fn steps(&self, name: &str) -> Vec<Value> {
        let steps = self.json("network.json")["steps"].as_array().unwrap().clone();
        steps.into_iter().filter(|step| step["step"] == name).collect()
    }
}

/// The names of all variables that are declared as secrets.
fn secret_variables() -> Vec<String> {
    let help = Command::new(process::binary()).arg("--env-help=markdown").env_clear().output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let secret = help.lines().filter(|line| line.contains("**Secret.**"));
    secret.filter_map(|line| line.split('`').nth(1)).map(str::to_owned).collect()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Files that hold secrets, by the variable that names each.
fn secret_files(folder: &Path) -> Vec<(&'static str, String)> {
    let key = "-----BEGIN PRIVATE KEY-----\nMCcanaryAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n";
    let servers = r#"{"mcpServers": {"files": {"command": "/bin/false", "env": {"TOKEN": "file-canary-env", "URL": "${NAMED_ONE}"},
        "args": ["--x"]}, "far": {"url": "http://u:file-canary-password@127.0.0.1:1/mcp?key=file-canary-query", "headers": {"X-A": "file-canary-header"}}}}"#;
    vec![
        ("SLAVE_CODES_FILE", write(folder, "codes", "- {code: file-canary-code, name: office}\n")),
        ("AUTH_BEARER_KEYS_FILE", write(folder, "keys", "file-canary-client\n")),
        ("OPS_KEYS_FILE", write(folder, "ops", "keys:\n  - {key: file-canary-ops, name: ci}\n")),
        ("SESSION_KEY_FILE", write(folder, "session", "file-canary-session-key-of-32-characters\n")),
        ("SLAVE_CODE_FILE", write(folder, "code", "file-canary-slave\n")),
        ("TLS_KEY", write(folder, "tls.key", key)),
        ("PROXY_CLIENT_KEY", write(folder, "client.key", key)),
        ("IDENTITY_KEY_FILE", write(folder, "identity.key", key)),
        (
            "BROKER_USERS_FILE",
            write(folder, "users", "users:\n  - {name: ann, password: canary-hash, totp: CANARYBASE32}\n"),
        ),
        ("BROKER_CLIENT_SECRET_FILE", write(folder, "secret", "file-canary-broker\n")),
        ("SLAVE_BACKENDS", write(folder, "mcp.json", servers)),
    ]
}

/// A log that quotes each secret, as a careless program could.
fn careless_log(folder: &Path, values: &[String]) -> String {
    let lines: Vec<String> =
        values.iter().map(|value| format!("[SLAVE] failed with {value} (x{value}x)")).collect();
    write(folder, "log", &format!("{}\nAuthorization: Bearer some-other-bearer-1\n", lines.join("\n")))
}

#[tokio::test]
async fn no_secret_of_a_variable_or_file_is_in_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let names = secret_variables();
    assert!(names.len() > 10 && names.contains(&"SLAVE_CODES".to_owned()), "{names:?}");
    let value = |name: &str| match name {
        _ if name.ends_with("_PROXY") || name.ends_with("_URL") => {
            format!("http://user:{CANARY}-pass%2Dword@127.0.0.1:1")
        }
        _ if name.ends_with("_HEADERS") => format!("x-a={CANARY}%2Dheader,x-b={CANARY}-two"),
        _ => format!("{CANARY}-of-{name}-with-32-characters"),
    };
    let mut values: Vec<String> = names.iter().map(|name| value(name)).collect();
    values.extend(
        ["file-canary-code", "file-canary-client", "file-canary-env", "canary-named"].map(str::to_owned),
    );
    let files = secret_files(folder.path());
    let log: &'static str = careless_log(folder.path(), &values).leak();
    for mode in ["proxy", "slave", "standalone"] {
        let mut setup = Setup::bare("diagnose")
            .env("NAMED_ONE", "canary-named")
            .env("TEAM_PASSWORD", "canary-undeclared");
        for name in &names {
            setup = setup.env(name, value(name));
        }
        for (name, path) in &files {
            setup = setup.env(name, path.as_str());
        }
        setup = setup.env("PROXY_SERVER_URL", "ws://127.0.0.1:1").env("MCP_SERVER_PORT", "1");
        let mut printed = setup.clone().args(&["diagnose", mode, "--stdout", "--log", log]).spawn();
        assert_eq!(printed.exit(wait::TIMEOUT * 2).await.code(), Some(0), "{}", printed.log.text());
        printed.log.wait_for("==> log.txt <==").await;
        printed.log.wait_for("Authorization: Bearer [redacted]").await;
        let bundle = Bundle::of(setup, mode).await;
        for text in [printed.log.text(), bundle.all()] {
            let leak = canary::find(&text, CANARY);
            assert!(leak.is_none(), "{mode}: leaked: {leak:?}");
            assert!(text.contains("SLAVE_CODES=(a secret, set)") && text.contains("TEAM_PASSWORD"), "{text}");
        }
        assert!(bundle.text("files.json").contains("\"SLAVE_CODES_FILE\""), "{mode}");
    }
}

#[tokio::test]
async fn a_live_pair_is_told_with_status_metrics_and_the_time_of_each_step() {
    let (proxy, slave) = pair().await;
    let of_proxy = Setup::proxy().env("MCP_SERVER_PORT", proxy.http.port().to_string());
    let bundle = Bundle::of(of_proxy, "proxy").await;
    assert_eq!(bundle.json("status.json")["role"], "proxy");
    assert!(bundle.text("metrics.txt").contains("mcp_relay_build_info{"), "{}", bundle.text("metrics.txt"));
    let asked = bundle.json("network.json")["server"].clone();
    let metrics = asked
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["url"].as_str().unwrap().ends_with("/metrics"))
        .unwrap();
    assert!(metrics["status"] == 200 && metrics["answerMs"].as_f64().unwrap() > 0.0, "{asked}");
    let platform = bundle.text("platform.txt");
    for fact in ["(revision ", "features: ", "time (UTC): 20", "kernel: "] {
        assert!(platform.contains(fact), "{fact}: {platform}");
    }
    for name in ["doctor.json", "metrics.txt", "log.txt"] {
        assert!(bundle.printed.contains(name), "{name} is not named: {}", bundle.printed);
    }
    let of_slave = Setup::slave("one", proxy.link).env("MCP_SERVER_PORT", slave.http.port().to_string());
    let bundle = Bundle::of(of_slave, "slave").await;
    assert_eq!(bundle.json("status.json")["role"], "slave");
    for step in ["name", "TCP", "WebSocket", "slave code"] {
        let found = bundle.steps(step);
        assert!(found[0]["state"] == "good" && found[0]["ms"].as_f64().unwrap() > 0.0, "{step}: {found:?}");
    }
    assert!(bundle.steps("way out")[0]["text"].as_str().unwrap().contains("directly"));
    assert_eq!(bundle.json("doctor.json")["ok"], true, "{}", bundle.text("doctor.json"));
}

#[tokio::test]
async fn a_dead_proxy_and_files_that_cannot_be_read_are_told_and_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::default();
    let own = authority.issue("own", &["relay.example"]);
    // A folder can be opened and not be read.
    let setup = Setup::slave("one", ([127, 0, 0, 1], 1).into())
        .env("SLAVE_CODES_FILE", folder.path().to_str().unwrap())
        .env("PROXY_CA_FILE", authority.root().to_str().unwrap())
        .env("EXTRA_CA_FILE", "/nowhere/ca.pem")
        .env("PROXY_CLIENT_CERT", own.cert.to_str().unwrap())
        .env("PROXY_CLIENT_KEY", own.key.to_str().unwrap())
        .env("MCP_SERVER_PORT", "1");
    let bundle = Bundle::of(setup.env("EXTRA_CA_FILE", authority.root().to_str().unwrap()), "slave").await;
    let refused = bundle.steps("TCP");
    assert!(refused[0]["state"] == "bad" && refused[0]["ms"].is_number(), "{refused:?}");
    assert!(
        bundle.text("README.txt").contains("Not read, so that its secrets are not known: SLAVE_CODES_FILE")
    );
    assert!(bundle.json("status.json")["error"].as_str().unwrap().contains("nothing listens"));
    let certificates = bundle.json("certificates.json");
    let client =
        certificates.as_array().unwrap().iter().find(|one| one["variable"] == "PROXY_CLIENT_CERT").unwrap();
    assert_eq!(client["names"][0], "relay.example");
    let log = bundle.text("log.txt");
    assert!(log.contains("docker logs") && log.contains("journalctl"), "{log}");
}

#[tokio::test]
async fn an_output_that_is_there_is_kept_and_a_full_disk_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path: &'static str = write(folder.path(), "mine.tar.gz", "mine").leak();
    let mut run = Setup::bare("diagnose").args(&["diagnose", "standalone", "--output", path]).spawn();
    assert_eq!(run.exit(wait::TIMEOUT).await.code(), Some(1));
    run.log.wait_for("is there already and was left as it is").await;
    assert_eq!(std::fs::read_to_string(path).unwrap(), "mine");
    let nowhere = Setup::bare("diagnose").args(&["diagnose", "standalone", "--output", "/nowhere/b.tar.gz"]);
    let mut run = nowhere.env("MCP_SERVER_PORT", "0").spawn();
    assert_eq!(run.exit(wait::TIMEOUT * 2).await.code(), Some(1));
    run.log.wait_for("/nowhere/b.tar.gz cannot be written").await;
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(process::binary());
    command.args(["diagnose", "standalone", "--stdout"]).env_clear().env("MCP_SERVER_PORT", "0").stdout(full);
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot be printed"), "{error}");
}
