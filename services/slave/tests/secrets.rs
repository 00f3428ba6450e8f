//! Test that a secret in a backend's environment never reaches the log, however the backend writes it.

mod harness;

use std::io::Write;
use std::sync::Arc;

use harness::{call, config, server, started, text, until};
use parking_lot::Mutex;
use runtime::secret::Secret;
use tracing_subscriber::fmt::MakeWriter;

const CANARY: &str = "canary-5f2c91";

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

#[tokio::test]
async fn a_flood_of_secrets_is_redacted_cut_and_bounded() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .init();
    let mut server = server("noisy", &["legacy"]);
    server.env = vec![("CANARY".into(), Secret::new(CANARY))];
    let executor = started(config(vec![server])).await;
    // The padding puts the secret across every position at which lines are cut.
    for pad in [0, 4090, 4096, 8191] {
        let arguments = format!(r#"{{"lines":100,"pad":{pad}}}"#);
        assert_eq!(text(&call(&executor, "flood", &arguments).await), "flooded");
    }
    assert_eq!(text(&call(&executor, "flood", r#"{"lines":100000}"#).await), "flooded");
    executor.shutdown(std::time::Duration::from_secs(5)).await;
    until(|| log.text().contains("backend stopped")).await;
    let text = log.text();
    assert!(text.contains("stderr: 0 [masked] [31m[masked]"), "{}", &text[..2000]);
    assert!(text.contains("no JSON-RPC message, skipped: not json either: [masked]"));
    assert!(!text.contains(CANARY));
    // No part of it remains at a cut either.
    assert!(!text.contains("canary"), "{:?}", text.lines().find(|line| line.contains("canary")));
    assert!(text.lines().count() < 20_000, "{} lines", text.lines().count());
}
