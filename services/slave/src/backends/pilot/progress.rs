//! The CLI's lines of output as signs of life, and as progress notifications for a client that asked for them. Must not
//! know how the CLI is run.

use std::borrow::Cow;

use protocol::mcp::failure::Failure;
use tokio::sync::mpsc;

use super::report;
use crate::backends::redactor::Redactor;
use crate::call::Exchange;

/// A reporter of progress to one client.
pub(super) struct ProgressReporter<'a> {
    /// JSON; `None`: the client asked for no progress.
    token: Option<Cow<'a, str>>,
    redactor: &'a Redactor,
    done: u64,
}

impl<'a> ProgressReporter<'a> {
    /// Returns a reporter for the client's progress token, which is JSON.
    pub(super) fn new(token: Option<Cow<'a, str>>, redactor: &'a Redactor) -> Self {
        Self { token, redactor, done: 0 }
    }

    /// Passes lines on until the channel closes. Fails when the client is gone.
    pub(super) async fn run(
        &mut self,
        mut lines: mpsc::Receiver<String>,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        while let Some(line) = lines.recv().await {
            exchange.alive();
            let Some(token) = &self.token else { continue };
            let line = report::strip_ansi(&line).replace(char::is_control, " ");
            if line.trim().is_empty() {
                continue;
            }
            self.done += 1;
            let message = serde_json::to_string(self.redactor.redact(line.trim()).as_ref())
                .map_err(|_| Failure::Internal)?;
            let event = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{},"progress":{},"message":{message}}}}}"#,
                token, self.done
            );
            exchange.notify(event.into()).await?;
        }
        Ok(())
    }
}
