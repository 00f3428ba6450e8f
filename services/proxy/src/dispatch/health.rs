//! What the end of a call says of the slave that had it, and whom that leaves to choose from.
//!
//! Two records: a tool's own for faults of what runs the tool (a slave whose one backend is broken keeps its other
//! tools), and one of all slaves for faults of the slave itself. Knows nothing of links.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use protocol::link::call::ResponseEvent;
use protocol::mcp::failure::{self, Failure, FailureKind};

use crate::links::{Registry, Slave};
use crate::metrics;
use crate::outliers::{Outliers, Turn, Verdict};
use crate::routes::Tiers;

/// Whose fault it is, if it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Both did what they should; a tool's own error is an answer.
    Good,
    /// What runs the tool is at fault.
    Tool(&'static str),
    /// The slave itself is.
    Slave(&'static str),
    /// Nobody is to blame, or nobody knows.
    Neither,
}

impl Judgement {
    /// Of the last part of an answer.
    pub(super) fn of(part: &ResponseEvent) -> Self {
        match part {
            ResponseEvent::End { error: false, .. } => Self::Good,
            ResponseEvent::End { payload, .. } => match failure::kind_in(payload) {
                Some(
                    kind @ (FailureKind::BackendFailed
                    | FailureKind::Timeout
                    | FailureKind::BadAnswer
                    | FailureKind::Internal),
                ) => Self::Tool(kind.as_str()),
                // Refusals of the slave's: they say nothing of how it runs calls.
                Some(_) => Self::Neither,
                None => Self::Good,
            },
            ResponseEvent::Failed(failure @ Failure::Timeout) => Self::Tool(failure.spec().kind),
            ResponseEvent::Failed(failure @ (Failure::OutcomeUnknown | Failure::BadAnswer(_))) => {
                Self::Slave(failure.spec().kind)
            }
            ResponseEvent::Failed(_) | ResponseEvent::Event { .. } => Self::Neither,
        }
    }

    fn verdicts(self) -> (Verdict, Verdict) {
        match self {
            Self::Good => (Verdict::Good, Verdict::Good),
            Self::Tool(kind) => (Verdict::Fault(kind), Verdict::Neither),
            Self::Slave(kind) => (Verdict::Neither, Verdict::Fault(kind)),
            Self::Neither => (Verdict::Neither, Verdict::Neither),
        }
    }
}

/// Those of each tier that may have a call: all of them, as a rule. If every one that takes calls is left out, none
/// is: the last one is better than nobody. The same goes for the place to avoid.
pub(super) fn sieve<'a>(
    (tiers, avoid): (&'a Tiers, Option<u64>),
    outliers: [&Outliers; 2],
    now: Instant,
) -> Cow<'a, Tiers> {
    let mut kept = Cow::Borrowed(tiers);
    if outliers.iter().any(|outliers| outliers.may_bar()) {
        let barred = |slave: &Slave| outliers.iter().any(|outliers| outliers.bars(slave.place(), now));
        kept = keep(&kept, |slave| !barred(slave)).map_or(kept, Cow::Owned);
    }
    if let Some(place) = avoid {
        kept = keep(&kept, |slave| slave.place() != place).map_or(kept, Cow::Owned);
    }
    kept
}

/// The tiers with those slaves only; `None` if no slave that takes calls is among them.
fn keep(tiers: &Tiers, which: impl Fn(&Slave) -> bool) -> Option<Tiers> {
    let of_tier = |tier: &Arc<[Arc<Slave>]>| tier.iter().filter(|slave| which(slave)).cloned().collect();
    let kept: Tiers = tiers.iter().map(of_tier).collect();
    kept.iter().flat_map(|tier| tier.iter()).any(|slave| slave.is_ready()).then_some(kept)
}

/// A call of `tool` ended at this slave.
pub(super) fn judge(judgement: Judgement, (tool, of_tool): (&str, &Outliers), at: (&Registry, &Slave)) {
    let (registry, slave) = at;
    let (tool_verdict, slave_verdict) = judgement.verdicts();
    if let Some(turn) = of_tool.ended(slave.place(), tool_verdict, Instant::now()) {
        metrics::set_ejected_members(tool, of_tool.out());
        match turn {
            Turn::Ejected { time, failures, last } => {
                metrics::record_ejection(&slave.name, last);
                tracing::warn!(
                    slave = slave.name,
                    tool,
                    "Slave gets no calls of this tool for {:.1} s: {failures} failed in a row, the last with {last}",
                    time.as_secs_f64()
                );
            }
            Turn::Readmitted => {
                tracing::info!(slave = slave.name, tool, "Slave gets calls of this tool again");
            }
        }
    }
    registry.judged(slave, slave_verdict);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn end(error: bool, payload: &str) -> ResponseEvent {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        ResponseEvent::End { seq: 0, more: false, error, tool_error: false, status: 0, payload }
    }

    #[test]
    fn only_faults_of_the_slave_s_own_count() {
        let failed = Failure::BackendFailed { backend: "b".into(), reason: "r".into() };
        let refused = Failure::InvalidParams("x".into());
        for (part, expected) in [
            (end(false, "{}"), Judgement::Good),
            (end(true, r#"{"code":-32603,"message":"of the backend's own"}"#), Judgement::Good),
            (end(true, &failed.error_object()), Judgement::Tool("backend_failed")),
            (end(true, &refused.error_object()), Judgement::Neither),
            (end(true, "not JSON"), Judgement::Good),
            (ResponseEvent::Failed(Failure::Timeout), Judgement::Tool("timeout")),
            (ResponseEvent::Failed(Failure::OutcomeUnknown), Judgement::Slave("outcome_unknown")),
            (ResponseEvent::Failed(Failure::NoSlave), Judgement::Neither),
        ] {
            assert_eq!(Judgement::of(&part), expected, "{part:?}");
        }
    }
}
