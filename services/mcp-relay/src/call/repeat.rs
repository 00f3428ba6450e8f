//! The same call again and again, by several clients at once (`--during`), each with one connection, and the count of those that were
//! answered.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::cancellation::Cancellation;
use super::error::{CallError, CallOutput};
use super::print::note;
use super::retry::retry;
use super::spec::CallSpec;
use crate::http::KeptConnection;
use crate::mcp::Endpoint;

/// Most failures that a client reports; the others are only counted.
const MAX_REPORTED_FAILURES: u32 = 5;

/// Calls of one client, or of all of them, by their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    answered: u32,
    failed: u32,
}

/// Calls for `span` and returns how many calls were answered. A signal ends the run earlier.
pub(super) async fn repeat(spec: &CallSpec, span: Duration) -> anyhow::Result<CallOutput> {
    let deadline = Instant::now() + span;
    let by_client = join_all((0..spec.parallel).map(|_| run_client(spec, deadline))).await;
    let mut all = Counts::default();
    for counts in by_client {
        let Counts { answered, failed } = counts?;
        all.answered += answered;
        all.failed += failed;
    }
    let text = format!("{} calls answered, {} failed\n", all.answered, all.failed).into();
    if all.failed == 0 { Ok(CallOutput::Answered(text)) } else { Ok(CallOutput::SomeFailed(text)) }
}

async fn run_client(spec: &CallSpec, deadline: Instant) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    let mut cancellation = Cancellation::after(None)?;
    // Otherwise some ten thousand calls would use up the ports of this machine.
    let endpoint = Endpoint { kept: Some(KeptConnection::default()), ..spec.endpoint.clone() };
    while Instant::now() < deadline {
        cancellation.renew(spec.timeout);
        match retry(spec, &endpoint, &mut cancellation).await {
            Ok(CallOutput::Answered(_) | CallOutput::NothingListed(_)) => counts.answered += 1,
            Err(CallError::Interrupted) => break,
            Ok(CallOutput::ToolFailed(_) | CallOutput::SomeFailed(_)) => counts.failed += 1,
            Err(error) => {
                counts.failed += 1;
                if counts.failed <= MAX_REPORTED_FAILURES {
                    note(format!("{:#}", error.describe(&spec.address())));
                }
            }
        }
    }
    Ok(counts)
}
