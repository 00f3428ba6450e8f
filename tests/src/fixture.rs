//! The stdio fixture server from the tests' side: its folder of gates and logs, and its entry as a backend. Knows no proxy.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::profile_folder;
use crate::relay::Setup;
use crate::wait;

/// File of a call's gate.
pub fn gate_file(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.gate"))
}

/// File of a call's log.
pub fn log_file(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.log"))
}

/// Text that `count` answers with.
pub fn count_text(id: u64, bytes: u64) -> String {
    let filler = usize::try_from(bytes).unwrap_or(0);
    format!("{id}:{}", "x".repeat(filler))
}

/// A folder shared by any number of fixture servers.
#[derive(Debug)]
pub struct Fixture {
    folder: TempDir,
}

impl Default for Fixture {
    fn default() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }
}

impl Fixture {
    /// The folder itself.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The entry of an `mcpServers` file that starts the server.
    pub fn entry(&self, env: &[(&str, &str)]) -> Value {
        let count = self.folder.path().join("count");
        let mut variables = json!({ "FIXTURE_DIR": self.folder.path(), "FIXTURE_COUNT": count });
        for (key, value) in env {
            variables[*key] = (*value).into();
        }
        json!({ "command": executable(), "args": [], "env": variables })
    }

    /// Writes an `mcpServers` file.
    pub fn write_backends(&self, servers: &Value) -> PathBuf {
        let path = self.folder.path().join("backends.json");
        std::fs::write(&path, json!({ "mcpServers": servers }).to_string()).expect("write backends.json");
        path
    }

    /// Gives a slave the fixture as its only backend.
    pub fn serve(&self, setup: Setup) -> Setup {
        self.serve_with(setup, &[])
    }

    /// As [`Self::serve`], with more variables for the server.
    pub fn serve_with(&self, setup: Setup, env: &[(&str, &str)]) -> Setup {
        let path = self.write_backends(&json!({ "fixture": self.entry(env) }));
        setup.env("DEMO_TOOLS", "0").env("SLAVE_BACKENDS", path.to_str().expect("a UTF-8 path"))
    }

    /// Lets the call of `run` with this key proceed to `step`; a step beyond its last lets it end. 0 holds it at its start.
    pub fn open_gate(&self, key: &str, step: u64) {
        // Written by a rename, so that the server never reads a part of the number.
        let path = gate_file(self.folder.path(), key);
        let new = path.with_extension("new");
        std::fs::write(&new, step.to_string())
            .and_then(|()| std::fs::rename(&new, &path))
            .expect("write a gate");
    }

    /// Lines that the call of `run` with this key has logged.
    pub fn log(&self, key: &str) -> Vec<String> {
        let text = std::fs::read_to_string(log_file(self.folder.path(), key)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until the log of `key` has a line `what`.
    pub async fn wait_for(&self, key: &str, what: &str) {
        let condition = format!("{what:?} in the backend's log of {key:?}");
        wait::until(&condition, async || self.log(key).iter().any(|line| line == what).then_some(())).await;
    }

    /// Number of executions of `count` by id.
    pub fn counts(&self) -> HashMap<u64, u32> {
        let text = std::fs::read_to_string(self.folder.path().join("count")).unwrap_or_default();
        let mut counts = HashMap::new();
        for line in text.lines() {
            *counts.entry(line.parse().expect("an id a line")).or_default() += 1;
        }
        counts
    }

    /// Process ids of all servers started so far.
    pub fn pids(&self) -> Vec<i32> {
        self.log("process").iter().filter_map(|line| line.strip_prefix("start ")?.parse().ok()).collect()
    }
}

fn executable() -> PathBuf {
    profile_folder().join("stdio-fixture")
}

/// Arguments of the tool `run`.
pub fn run_args(key: &str, steps: u64) -> Value {
    json!({ "key": key, "steps": steps })
}
