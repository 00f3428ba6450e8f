//! What the CLI says while it works, for a client that wants progress. Must not know how the CLI is run.

use protocol::mcp::failure::Failure;
use tokio::sync::mpsc;

use super::report;
use crate::backends::mask::Mask;
use crate::executor::CallSink;

/// Tells a client that wants progress what the CLI says.
pub(super) struct Progress<'a> {
    token: &'a str,
    mask: &'a Mask,
    done: u64,
}

impl<'a> Progress<'a> {
    /// For the client's token as it stands in JSON.
    pub(super) fn new(token: &'a str, mask: &'a Mask) -> Self {
        Self { token, mask, done: 0 }
    }

    /// Passes lines on until there are no more. Fails when the client is gone.
    pub(super) async fn tell(
        &mut self,
        mut said: mpsc::Receiver<String>,
        events: &mut dyn CallSink,
    ) -> Result<(), Failure> {
        while let Some(line) = said.recv().await {
            let line = report::without_colours(&line).replace(char::is_control, " ");
            if line.trim().is_empty() {
                continue;
            }
            self.done += 1;
            let message = serde_json::to_string(self.mask.apply(line.trim()).as_ref())
                .map_err(|_| Failure::Internal)?;
            let event = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{},"progress":{},"message":{message}}}}}"#,
                self.token, self.done
            );
            events.event(event.into(), false).await.map_err(|_| Failure::Cancelled)?;
        }
        Ok(())
    }
}
