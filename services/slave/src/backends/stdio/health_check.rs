//! Health checks of a child: a request at each interval that must be answered. Must not know processes, nor what is done
//! about a child that does not answer.

use std::sync::Arc;
use std::time::Duration;

use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use tokio::time::{sleep, timeout};

use super::incoming::Incoming;
use super::messages;
use super::request;
use super::session::Session;
use crate::metrics::{self, ProbeOutcome};

/// Consecutive missing answers at which the child is given up.
const MAX_MISSED: u32 = 3;

/// The time that a child has for an answer; the interval, if that is shorter.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends a request after each `interval`. Calls `on_change` with the problem when an answer is missing, and with `None`
/// when the child answers again. Returns only with a reason to give the child up. Cancel-safe.
pub(super) async fn run(
    session: &Arc<Session>,
    era: Era,
    interval: Duration,
    on_change: impl Fn(Option<String>),
) -> String {
    let mut missed = 0;
    loop {
        sleep(interval).await;
        let deadline = interval.min(ANSWER_TIMEOUT);
        if timeout(deadline, check(session, era)).await.is_ok() {
            metrics::record_backend_probe(&session.backend, ProbeOutcome::Answered);
            if missed > 0 {
                on_change(None);
            }
            missed = 0;
            continue;
        }
        metrics::record_backend_probe(&session.backend, ProbeOutcome::Missed);
        missed += 1;
        let problem = format!("it did not answer within {deadline:.1?}, {missed} times in a row");
        if missed >= MAX_MISSED {
            return problem;
        }
        on_change(Some(problem));
    }
}

/// Resolves with any answer, an error included: it shows that the child reads and writes. Never resolves for a child that
/// is gone, which is noticed elsewhere.
async fn check(session: &Arc<Session>, era: Era) {
    let method = match era {
        Era::Legacy => "ping",
        Era::Modern => "server/discover",
    };
    let answer = match request::send(session, |id| messages::request(id, method, "", era)).await {
        Ok(request) => request.timed(method).next().await,
        Err(_) => return std::future::pending().await,
    };
    if matches!(answer, Incoming::Failed(failure) if !matches!(failure, Failure::BadAnswer(_))) {
        std::future::pending::<()>().await;
    }
}
