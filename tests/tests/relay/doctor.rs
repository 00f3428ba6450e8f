//! What `doctor` says of backends that do not come up, and of a backends file beside faulty variables.

use std::path::{Path, PathBuf};

use harness::relay::Setup;
use harness::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A secret of a backend's entry, which no report may show.
const SECRET: &str = "hush-hush-secret-of-the-entry";

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes the file of these entries.
    fn backends(&self, entries: &Value) -> PathBuf {
        let path = self.0.path().join("backends.json");
        std::fs::write(&path, json!({ "mcpServers": entries }).to_string()).unwrap();
        path
    }
}

fn shell(script: &str) -> Value {
    json!({ "command": "/bin/sh", "args": ["-c", script], "env": { "TOKEN": SECRET } })
}

fn standalone(backends: &Path) -> Setup {
    let setup = Setup::bare("doctor").args(&["doctor", "standalone"]).env("MCP_SERVER_PORT", "0");
    setup.env("SLAVE_BACKENDS", backends.to_str().unwrap()).env("DEMO_TOOLS", "1")
}

/// Runs the doctor, which must find something to fix, and returns its report.
async fn report(setup: Setup) -> String {
    let mut doctor = setup.spawn();
    assert_eq!(doctor.exit(wait::TIMEOUT).await.code(), Some(1), "{}", doctor.log.text());
    wait::until("the whole report", async || {
        let text = doctor.log.text();
        (text.contains("to fix") || text.contains("\"steps\"")).then_some(())
    })
    .await;
    doctor.log.text()
}

#[tokio::test]
async fn a_backend_that_does_not_come_up_is_shown_with_what_it_said() {
    let files = Files::new();
    let noise = r#"echo 'Server listening on stdio'; read line; printf '{"jsonrpc":"2.0","id":1,"result":NaN}\n'; exit 4"#;
    let talkative = r#"for n in 1 2 3 4 5 6 7 8 9; do echo "line $n of $TOKEN" >&2; done; printf 'Error: no module \033[2Jnamed mcp\n' >&2; exit 3"#;
    let backends = files.backends(&json!({ "talkative": shell(talkative), "noisy": shell(noise) }));
    let text = report(standalone(&backends)).await;
    assert!(text.contains("talkative, standard error: Error: no module [2Jnamed mcp"), "{text}");
    assert!(text.contains("line 9 of [masked]") && !text.contains(SECRET), "{text}");
    assert!(!text.contains("line 1 of") && !text.contains('\u{1b}'), "bounded and harmless: {text}");
    assert!(text.contains("noisy, standard output: "), "{text}");
    assert!(!text.contains("All good"), "{text}");
}

#[tokio::test]
async fn the_backends_file_is_checked_together_with_the_variables() {
    let files = Files::new();
    let backends = files.backends(&json!({ "bad": { "command": 7 }, "good": { "command": "/bin/true" } }));
    let slave = Setup::slave("one", ([127, 0, 0, 1], 1).into())
        .args(&["doctor"])
        .env("SLAVE_BACKENDS", backends.to_str().unwrap());
    for setup in [
        slave.clone().env("SLAVE_CAPACITY", "many"),
        slave.env("MCP_SERVER_PORT", "80x").env("SLAVE_STRICT", "1"),
        standalone(&backends).env("BACKEND_WAIT", "-1"),
    ] {
        let text = report(setup).await;
        assert!(text.contains("✗ configuration: "), "{text}");
        assert!(
            text.contains("✗ backends: ") && text.contains("\"bad\"") && text.contains("command"),
            "{text}"
        );
        assert!(text.contains("everything else: not checked"), "{text}");
    }
    // A file that cannot be parsed at all, and one that is not there, which is a problem of its variable.
    std::fs::write(&backends, "{ \"mcpServers\": ").unwrap();
    let text = report(standalone(&backends).env("BACKEND_WAIT", "-1")).await;
    assert!(text.contains("✗ backends: "), "{text}");
    std::fs::remove_file(&backends).unwrap();
    let text = report(standalone(&backends).env("BACKEND_WAIT", "-1")).await;
    assert!(text.contains("configuration: SLAVE_BACKENDS") && !text.contains("✗ backends: "), "{text}");
}

#[tokio::test]
async fn a_long_wait_shows_progress_in_lines_and_not_in_json() {
    let files = Files::new();
    let backends = files.backends(&json!({ "slow": shell("exec sleep 600") }));
    let setup = standalone(&backends).env("BACKEND_START_TIMEOUT", "7");
    let text = report(setup.clone()).await;
    assert!(text.contains("… backend: still starting: slow"), "{text}");
    let text = report(setup.args(&["doctor", "standalone", "--json"])).await;
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["ok"], false, "{text}");
    assert!(!text.contains("still starting"), "{text}");
}

#[tokio::test]
async fn all_is_not_good_under_a_warning() {
    let files = Files::new();
    let backends = files.backends(&json!({}));
    let mut doctor = standalone(&backends).env("SLAVE_CAPACTY", "3").spawn();
    assert_eq!(doctor.exit(wait::TIMEOUT).await.code(), Some(0), "{}", doctor.log.text());
    let summary = doctor.log.wait_for("Nothing keeps it from working").await;
    assert!(summary.contains("warnings: "), "{summary}");
    assert!(!doctor.log.text().contains("All good"), "{}", doctor.log.text());
}
