//! Outlier detection of calls: whose fault the end of a call is, and which slaves that leaves to pick from.
//!
//! There are two detectors: one of each tool for faults of what runs the tool (a slave whose one backend is broken keeps
//! its other tools), and one of all slaves for faults of the slave itself. Must not know links.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use protocol::link::call::ResponseEvent;
use protocol::mcp::failure::{self, Failure, FailureKind};

use super::host::Host;
use super::outliers::{Outcome, OutlierDetector, Transition};
use crate::metrics;
use crate::routes::Priorities;

/// The party whose fault the end of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultAttribution {
    /// No fault; a tool's own error is an answer.
    Success,
    /// A fault of this kind of what runs the tool.
    Tool(&'static str),
    /// A fault of this kind of the slave itself.
    Slave(&'static str),
    /// A failure that is nobody's fault, or of an unknown cause.
    Neutral,
}

impl FaultAttribution {
    /// Attributes the last event of a response.
    pub(crate) fn of(event: &ResponseEvent) -> Self {
        match event {
            ResponseEvent::End { error: false, .. } => Self::Success,
            ResponseEvent::End { payload, .. } => match failure::kind_in(payload) {
                Some(kind) if is_tool_fault(kind) => Self::Tool(kind.as_str()),
                // The slave refused the call, which says nothing about how it runs calls.
                Some(_) => Self::Neutral,
                None => Self::Success,
            },
            ResponseEvent::Failed(failure @ Failure::Timeout) => Self::Tool(failure.spec().kind),
            ResponseEvent::Failed(failure @ (Failure::OutcomeUnknown | Failure::BadAnswer(_))) => {
                Self::Slave(failure.spec().kind)
            }
            ResponseEvent::Failed(_) | ResponseEvent::Event { .. } => Self::Neutral,
        }
    }

    /// Returns the outcome for the tool's detector.
    fn tool_outcome(self) -> Outcome {
        match self {
            Self::Success => Outcome::Success,
            Self::Tool(kind) => Outcome::Failure(kind),
            Self::Slave(_) | Self::Neutral => Outcome::Neutral,
        }
    }

    /// Returns the outcome for the detector of all slaves.
    pub(crate) fn slave_outcome(self) -> Outcome {
        match self {
            Self::Success => Outcome::Success,
            Self::Slave(kind) => Outcome::Failure(kind),
            Self::Tool(_) | Self::Neutral => Outcome::Neutral,
        }
    }
}

/// Whether a slave that answers with a failure of this kind says that what runs the tool is at fault.
fn is_tool_fault(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::BackendFailed | FailureKind::Timeout | FailureKind::BadAnswer | FailureKind::Internal
    )
}

/// Returns the slaves of each priority that are not ejected; all of them if no slave that takes calls would be left,
/// since a failing slave is better than none. The slave to avoid is left out in the same way. Allocates nothing while
/// there is nothing to leave out.
pub(crate) fn filter_ejected<'a, H: Host>(
    priorities: &'a Priorities<H>,
    avoid: Option<u64>,
    outliers: [&OutlierDetector; 2],
    now: Instant,
) -> Cow<'a, Priorities<H>> {
    let mut kept = Cow::Borrowed(priorities);
    if outliers.iter().any(|outliers| outliers.may_eject()) {
        let is_ejected =
            |slave: &H| outliers.iter().any(|outliers| outliers.is_ejected(slave.host_slot(), now));
        kept = filter(&kept, |slave| !is_ejected(slave)).map_or(kept, Cow::Owned);
    }
    if let Some(key) = avoid {
        kept = filter(&kept, |slave| slave.host_slot() != key).map_or(kept, Cow::Owned);
    }
    kept
}

/// Returns the priorities with the slaves that pass; `None` if none of them takes calls.
fn filter<H: Host>(priorities: &Priorities<H>, passes: impl Fn(&H) -> bool) -> Option<Priorities<H>> {
    let of_priority = |slaves: &Arc<[Arc<H>]>| slaves.iter().filter(|slave| passes(slave)).cloned().collect();
    let kept: Priorities<H> = priorities.iter().map(of_priority).collect();
    kept.iter().flat_map(|slaves| slaves.iter()).any(|slave| slave.accepts_calls()).then_some(kept)
}

/// Records the end of a call of `tool` at a slave with the tool's detector.
pub(crate) fn record(
    attribution: FaultAttribution,
    tool: &str,
    outliers: &OutlierDetector,
    slave: &impl Host,
) {
    let transition = outliers.record_outcome(slave.host_slot(), attribution.tool_outcome(), Instant::now);
    let Some(transition) = transition else { return };
    metrics::set_ejected_members(tool, outliers.ejected_count());
    let slave = slave.name();
    match transition {
        Transition::Ejected { time, failures, last } => {
            metrics::record_ejection(slave, last);
            tracing::warn!(
                slave,
                tool,
                "Slave gets no calls of this tool for {:.1} s: {failures} failed in a row, the last with {last}",
                time.as_secs_f64()
            );
        }
        Transition::Readmitted => tracing::info!(slave, tool, "Slave gets calls of this tool again"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use protocol::mcp::era::Era;

    use super::*;
    use crate::balance::host::TestHost;
    use crate::config::EjectionPolicy;

    fn end(error: bool, payload: &str) -> ResponseEvent {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        ResponseEvent::End { seq: 0, more: false, error, tool_error: false, status: 0, payload }
    }

    #[test]
    fn a_call_s_end_is_attributed_to_the_tool_the_slave_or_nobody() {
        let failed = Failure::BackendFailed { backend: "b".into(), reason: "r".into(), retry_after: None };
        let refused = Failure::InvalidParams("x".into());
        for (event, expected) in [
            (end(false, "{}"), FaultAttribution::Success),
            (end(true, r#"{"code":-32603,"message":"of the backend's own"}"#), FaultAttribution::Success),
            (end(true, &failed.error_object(Era::Legacy)), FaultAttribution::Tool("backend_failed")),
            (end(true, &refused.error_object(Era::Legacy)), FaultAttribution::Neutral),
            (end(true, "not JSON"), FaultAttribution::Success),
            (ResponseEvent::Failed(Failure::Timeout), FaultAttribution::Tool("timeout")),
            (ResponseEvent::Failed(Failure::OutcomeUnknown), FaultAttribution::Slave("outcome_unknown")),
            (ResponseEvent::Failed(Failure::NoSlave), FaultAttribution::Neutral),
        ] {
            assert_eq!(FaultAttribution::of(&event), expected, "{event:?}");
        }
    }

    #[test]
    fn ejected_slaves_are_left_out_unless_no_slave_would_be_left() {
        let slaves = [TestHost::new(1, 0), TestHost::new(2, 0)];
        let priorities: Priorities<TestHost> = Arc::new([slaves.into()]);
        let policy = EjectionPolicy { after: 1, base: std::time::Duration::from_secs(10) };
        let (of_slaves, of_tool) = (OutlierDetector::new(policy), OutlierDetector::new(policy));
        let now = Instant::now();
        let keys = |avoid| {
            let kept = filter_ejected(&priorities, avoid, [&of_slaves, &of_tool], now);
            kept.iter().flat_map(|slaves| slaves.iter()).map(|slave| slave.key).collect::<Vec<u64>>()
        };
        assert_eq!((keys(None), keys(Some(1))), (vec![1, 2], vec![2]));
        of_slaves.record_outcome(1, Outcome::Failure("outcome_unknown"), || now);
        assert_eq!((keys(None), keys(Some(2))), (vec![2], vec![2]));
        of_tool.record_outcome(2, Outcome::Failure("timeout"), || now);
        assert_eq!(keys(None), [1, 2]);
    }
}
