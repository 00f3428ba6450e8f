//! The same call again and again, by several clients at once: whether all of them come through while something else goes on.

use futures_util::future::join_all;
use tokio::time::Instant;

use super::plan::Plan;
use super::{CallError, Ending, Outcome, insist, note, told};

/// Failures that are told; the rest is only counted.
const TOLD: u32 = 5;

/// What one client, or all of them, saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    answered: u32,
    failed: u32,
}

/// Calls until the time is over: how many were answered. A signal ends it earlier.
pub(super) async fn repeat(plan: &Plan) -> anyhow::Result<Outcome> {
    let Some(span) = plan.during else { return Ok(Outcome::Answered(String::new())) };
    let deadline = Instant::now() + span;
    let tallies = join_all((0..plan.parallel).map(|_| one_client(plan, deadline))).await;
    let mut all = Tally::default();
    for tally in tallies {
        let Tally { answered, failed } = tally?;
        all.answered += answered;
        all.failed += failed;
    }
    let text = format!("{} calls answered, {} failed\n", all.answered, all.failed);
    if all.failed == 0 { Ok(Outcome::Answered(text)) } else { Ok(Outcome::SomeFailed(text)) }
}

async fn one_client(plan: &Plan, deadline: Instant) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut ending = Ending::after(None)?;
    while Instant::now() < deadline {
        ending.renew(plan.timeout);
        match insist(plan, &mut ending).await {
            Ok(Outcome::Answered(_)) => tally.answered += 1,
            Err(CallError::Interrupted) => break,
            Ok(Outcome::ToolFailed(_) | Outcome::SomeFailed(_)) => tally.failed += 1,
            Err(error) => {
                tally.failed += 1;
                if tally.failed <= TOLD {
                    note(&format!("{:#}", told(&error, plan)));
                }
            }
        }
    }
    Ok(tally)
}
