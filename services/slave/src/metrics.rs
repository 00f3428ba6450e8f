//! Every series of the slave in one place, with one function an event. Must not know why an event happens.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit, counter, gauge, histogram};
use protocol::failure::Failure;

use crate::backends::Answer;

/// What kind of series it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// With the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// One series as docs, alerts and exporters need it.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name, with the unit and `_total` as Prometheus has it.
    pub name: &'static str,
    /// Kind and buckets.
    pub kind: Kind,
    /// Unit.
    pub unit: Unit,
    /// Label names.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// From cached answers to the hour that a call may take (`REQUEST_TIMEOUT_TOTAL`).
const CALL_SECONDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

const CALLS: &str = "mcp_relay_slave_calls_total";
const CALL_DURATION: &str = "mcp_relay_slave_call_duration_seconds";
const IN_FLIGHT: &str = "mcp_relay_slave_calls_in_flight";
const READY: &str = "mcp_relay_slave_backend_ready";
const STARTS: &str = "mcp_relay_slave_backend_starts_total";
const EXITS: &str = "mcp_relay_slave_backend_exits_total";
const DROPPED: &str = "mcp_relay_slave_backend_messages_dropped_total";
const PROBES: &str = "mcp_relay_slave_backend_probes_total";

const LINK_CONNECTS: &str = "mcp_relay_slave_link_connects_total";
const LINK_DISCONNECTS: &str = "mcp_relay_slave_link_disconnects_total";
const LINKS: &str = "mcp_relay_slave_links";
const LINKS_WANTED: &str = "mcp_relay_slave_links_wanted";
const DIALS: &str = "mcp_relay_slave_dials_total";
const LINK_BYTES: &str = "mcp_relay_slave_link_bytes_total";

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric {
        name: CALLS,
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: &["tool", "outcome"],
        help: "Calls that ended on this slave, by tool (those of the catalog; else \"\") and outcome (ok, tool_error, error, or the failure's kind).",
    },
    Metric {
        name: CALL_DURATION,
        kind: Kind::Histogram(CALL_SECONDS),
        unit: Unit::Seconds,
        labels: &["tool"],
        help: "From a call's arrival at the executor to its end, waiting for a place included.",
    },
    Metric {
        name: IN_FLIGHT,
        kind: Kind::Gauge,
        unit: Unit::Count,
        labels: &["tool"],
        help: "Calls that wait for a place or run.",
    },
    Metric {
        name: READY,
        kind: Kind::Gauge,
        unit: Unit::Count,
        labels: &["backend"],
        help: "1 while the backend's tools are offered, else 0.",
    },
    Metric {
        name: STARTS,
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: &["backend"],
        help: "Processes that were started for a backend.",
    },
    Metric {
        name: EXITS,
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: &["backend", "reason"],
        help: "Processes of a backend that ended, by reason (exited, killed, closed, line_too_long, unusable, start_failed, stopped).",
    },
    Metric {
        name: DROPPED,
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: &["backend", "reason"],
        help: "Messages of a backend that reached no call, by reason (garbage, unknown_id, unroutable, slow_reader, unread_stdin).",
    },
    Metric {
        name: PROBES,
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: &["backend", "outcome"],
        help: "Times that a backend was asked whether it still answers, by outcome (answered, missed).",
    },
    Metric {
        name: LINK_CONNECTS,
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: &["dialect"],
        help: "Links to a proxy that were authenticated, by dialect (native, plain).",
    },
    Metric {
        name: LINK_DISCONNECTS,
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: &["reason"],
        help: "Links and attempts that ended, by reason (refused, replaced, lost, protocol_error, closing, already_linked).",
    },
    Metric {
        name: LINKS,
        kind: Kind::Gauge,
        unit: Unit::Count,
        labels: &[],
        help: "Links to a proxy that are up.",
    },
    Metric {
        name: LINKS_WANTED,
        kind: Kind::Gauge,
        unit: Unit::Count,
        labels: &[],
        help: "Links that there should be: one to each proxy that proxies or PROXY_PEERS tell of.",
    },
    Metric {
        name: DIALS,
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: &["outcome"],
        help: "Attempts to make a link, by outcome (linked, already_linked, refused, failed).",
    },
    Metric {
        name: LINK_BYTES,
        kind: Kind::Counter,
        unit: Unit::Bytes,
        labels: &["direction"],
        help: "Bytes on the links' sockets before TLS, by direction (in, out).",
    },
];

/// The buckets of every histogram, as the recorder wants them.
pub fn histograms() -> Vec<runtime::metrics::Histogram> {
    let buckets = |metric: &Metric| match metric.kind {
        Kind::Histogram(buckets) => Some(runtime::metrics::Histogram { name: metric.name, buckets }),
        Kind::Counter | Kind::Gauge => None,
    };
    METRICS.iter().filter_map(buckets).collect()
}

/// Tells the recorder about all series, so that help and unit are exported. Call it once, after the recorder is installed.
pub fn describe() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.unit, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.unit, metric.help),
            Kind::Histogram(_) => metrics::describe_histogram!(metric.name, metric.unit, metric.help),
        }
    }
}

/// The series of one tool, looked up once: a call costs a few atomic operations.
#[derive(Clone)]
pub(crate) struct ToolMeters {
    tool: String,
    ok: Counter,
    tool_error: Counter,
    error: Counter,
    in_flight: Gauge,
    seconds: Histogram,
}

/// A call that runs: it leaves the gauge when dropped, however it ends.
pub(crate) struct InFlight<'a> {
    meters: &'a ToolMeters,
}

/// Tools with series of their own. A backend may change its tools as often as it likes; later ones share `other`.
const MAX_TOOLS: usize = 500;

/// The tool's label, from a bounded set.
fn tool_label(tool: &str) -> &str {
    static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if !known.contains(tool) {
        if known.len() >= MAX_TOOLS {
            return "other";
        }
        known.insert(tool.to_owned());
    }
    tool
}

impl ToolMeters {
    /// The series of a tool of the catalog. The recorder must be installed before.
    pub(crate) fn new(tool: &str) -> Self {
        let tool = tool_label(tool);
        let ended = |outcome: &'static str| counter!(CALLS, "tool" => tool.to_owned(), "outcome" => outcome);
        Self {
            tool: tool.to_owned(),
            ok: ended("ok"),
            tool_error: ended("tool_error"),
            error: ended("error"),
            in_flight: gauge!(IN_FLIGHT, "tool" => tool.to_owned()),
            seconds: histogram!(CALL_DURATION, "tool" => tool.to_owned()),
        }
    }

    /// A call for the tool arrived.
    pub(crate) fn call_began(&self) -> InFlight<'_> {
        self.in_flight.increment(1);
        InFlight { meters: self }
    }
}

impl InFlight<'_> {
    /// The call ended after `elapsed`.
    pub(crate) fn ended(self, answer: &Result<Answer, Failure>, elapsed: Duration) {
        let meters = self.meters;
        meters.seconds.record(elapsed);
        match answer {
            Ok(Answer { error: true, .. }) => meters.error.increment(1),
            Ok(Answer { tool_error: true, .. }) => meters.tool_error.increment(1),
            Ok(_) => meters.ok.increment(1),
            Err(failure) => {
                tracing::debug!(tool = meters.tool, kind = failure.row().kind, "call failed: {failure}");
                counter!(CALLS, "tool" => meters.tool.clone(), "outcome" => failure.row().kind).increment(1);
            }
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.meters.in_flight.decrement(1);
    }
}

/// A call was refused before it had a tool.
pub(crate) fn call_refused(failure: &Failure) {
    tracing::debug!(kind = failure.row().kind, "call refused: {failure}");
    counter!(CALLS, "tool" => "", "outcome" => failure.row().kind).increment(1);
}

/// A backend's tools came into or left the catalog.
pub(crate) fn backend_ready(backend: &str, state: &crate::executor::State) {
    let ready = u32::from(*state == crate::executor::State::Ready);
    gauge!(READY, "backend" => backend.to_owned()).set(ready);
}

/// A link was authenticated.
pub(crate) fn link_made(dialect: &'static str) {
    counter!(LINK_CONNECTS, "dialect" => dialect).increment(1);
}

/// A link, or an attempt to make one, ended.
pub(crate) fn link_ended(reason: &'static str) {
    counter!(LINK_DISCONNECTS, "reason" => reason).increment(1);
}

/// So many links are up.
pub(crate) fn links_up(links: usize) {
    gauge!(LINKS).set(links as f64);
}

/// So many links there should be.
pub(crate) fn links_wanted(links: usize) {
    gauge!(LINKS_WANTED).set(links as f64);
}

/// A proxy was dialed.
pub(crate) fn dialed(outcome: &'static str) {
    counter!(DIALS, "outcome" => outcome).increment(1);
}

/// The bytes of one link's socket, looked up once.
pub(crate) struct LinkMeters {
    read: Counter,
    written: Counter,
}

impl LinkMeters {
    /// Counts into the same series for every link.
    pub(crate) fn new() -> Self {
        let bytes = |direction: &'static str| counter!(LINK_BYTES, "direction" => direction);
        Self { read: bytes("in"), written: bytes("out") }
    }

    /// Bytes came in.
    pub(crate) fn read(&self, bytes: usize) {
        self.read.increment(bytes as u64);
    }

    /// Bytes went out.
    pub(crate) fn written(&self, bytes: usize) {
        self.written.increment(bytes as u64);
    }
}

/// A process was started for a backend.
pub(crate) fn backend_started(backend: &str) {
    counter!(STARTS, "backend" => backend.to_owned()).increment(1);
}

/// A backend's process ended.
pub(crate) fn backend_exited(backend: &str, reason: &'static str) {
    counter!(EXITS, "backend" => backend.to_owned(), "reason" => reason).increment(1);
}

/// What came of asking a backend whether it still answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probed {
    /// It does.
    Answered,
    /// Not in time.
    Missed,
}

/// A backend was asked whether it still answers.
pub(crate) fn backend_probed(backend: &str, outcome: Probed) {
    let outcome = match outcome {
        Probed::Answered => "answered",
        Probed::Missed => "missed",
    };
    counter!(PROBES, "backend" => backend.to_owned(), "outcome" => outcome).increment(1);
}

/// Why a message reached nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Not JSON-RPC.
    Garbage,
    /// An answer that nobody waits for: late, doubled or invented.
    UnknownId,
    /// A notification that belongs to no call, or not to a certain one.
    Unroutable,
    /// The call's reader is too slow for its events.
    SlowReader,
    /// The backend does not read what it is told.
    UnreadStdin,
}

impl Dropped {
    fn label(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::UnknownId => "unknown_id",
            Self::Unroutable => "unroutable",
            Self::SlowReader => "slow_reader",
            Self::UnreadStdin => "unread_stdin",
        }
    }
}

/// A message from or to a backend was dropped.
pub(crate) fn backend_dropped(backend: &str, reason: Dropped) {
    counter!(DROPPED, "backend" => backend.to_owned(), "reason" => reason.label()).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_declared_once_with_all_that_exporters_need() {
        let mut names = BTreeSet::new();
        for metric in METRICS {
            assert!(names.insert(metric.name), "{} twice", metric.name);
            assert!(metric.name.starts_with("mcp_relay_slave_") && !metric.help.is_empty());
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            if let Kind::Histogram(buckets) = metric.kind {
                assert!(buckets.is_sorted() && !buckets.is_empty(), "{}", metric.name);
            }
        }
    }

    #[test]
    fn tool_labels_are_bounded() {
        let labels: BTreeSet<String> =
            (0..2 * MAX_TOOLS).map(|n| tool_label(&format!("tool-{n}")).to_owned()).collect();
        assert!(labels.len() <= MAX_TOOLS + 1 && labels.contains("other"));
        let first = labels.iter().find(|label| *label != "other").unwrap();
        assert_eq!(tool_label(first), first);
    }
}
