//! Asks a child now and then whether it still answers. Must not know processes, nor what becomes of the answer.

use std::sync::Arc;
use std::time::Duration;

use protocol::mcp::era::Era;
use tokio::time::{sleep, timeout};

use super::handshake;
use super::incoming::Incoming;
use super::messages;
use super::session::Session;
use crate::metrics::{self, ProbeOutcome};

/// Answers that may be missing in a row; with the last the child is given up.
const MOST_MISSED: u32 = 3;

/// A child has so long for an answer, or the whole interval if that is shorter.
const DEADLINE: Duration = Duration::from_secs(5);

/// Asks after each `interval`. `ailing` hears what is wrong as soon as an answer is missing, and `None` when all is
/// well again. Returns only with a reason to give the child up. Cancel-safe.
pub(super) async fn watch(
    (session, era): (&Arc<Session>, Era),
    interval: Duration,
    ailing: impl Fn(Option<String>),
) -> String {
    let mut missed = 0;
    loop {
        sleep(interval).await;
        let deadline = interval.min(DEADLINE);
        if timeout(deadline, answers(session, era)).await.is_ok() {
            metrics::record_backend_probe(&session.backend, ProbeOutcome::Answered);
            if missed > 0 {
                ailing(None);
            }
            missed = 0;
            continue;
        }
        metrics::record_backend_probe(&session.backend, ProbeOutcome::Missed);
        missed += 1;
        let what = format!("it did not answer within {deadline:.1?}, {missed} times in a row");
        if missed >= MOST_MISSED {
            return what;
        }
        ailing(Some(what));
    }
}

/// Any answer will do, an error too: it shows that somebody reads and writes. A child that is gone is not asked
/// again: that is noticed elsewhere.
async fn answers(session: &Arc<Session>, era: Era) {
    let method = match era {
        Era::Legacy => "ping",
        Era::Modern => "server/discover",
    };
    let answer = match handshake::own(session, |id| messages::request(id, method, "", era)).await {
        Ok(exchange) => exchange.timed(method).next().await,
        Err(_) => return std::future::pending().await,
    };
    if matches!(answer, Incoming::Failed(_)) {
        std::future::pending::<()>().await;
    }
}
