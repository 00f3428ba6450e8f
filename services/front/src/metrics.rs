//! The edge's series, the same for everything that serves MCP clients. Must not know what takes the calls.

mod operations;

use parking_lot::RwLock;
use std::collections::HashMap;

use metrics::{Counter, Histogram, counter, gauge};
use protocol::mcp::failure::Failure;
use runtime::metrics::{Label, Metric};

pub use operations::{Ended, OPERATION_BUCKETS, OPERATION_LABELS, Operations, operation};

const ANSWERED: &str = "mcp_relay_edge_requests_total";
const SESSIONS: &str = "mcp_relay_sessions_total";
const STREAMS: &str = "mcp_relay_listening_streams";
/// `mcp.server.operation.duration`.
pub const SERVER_OPERATIONS: &str = "mcp_server_operation_duration_seconds";

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        ANSWERED,
        &[Label::open("method"), Label::open("kind")],
        "Requests that were answered without a call: by MCP method (or HTTP method, batch, response, invalid, other) and kind (ok, or that of a failure; unauthorized: clients without a key).",
    ),
    Metric::counter(
        SESSIONS,
        &[Label::of("event", &["begun", "ended", "refused"])],
        "Legacy clients' sessions that began, that their clients ended, and requests that were refused for a session that is unknown, expired or ended.",
    ),
    Metric::gauge(STREAMS, &[], "GET streams that legacy clients have open."),
    Metric::seconds(
        SERVER_OPERATIONS,
        OPERATION_BUCKETS,
        OPERATION_LABELS,
        "OpenTelemetry's mcp.server.operation.duration: MCP requests and notifications of clients, from their arrival to the end of the answer.",
    ),
];

/// Sets the gauge of open GET streams.
pub(crate) fn set_listening_streams(count: usize) {
    gauge!(STREAMS).set(count as f64);
}

/// Counts the requests that the edge answers itself.
#[derive(Default)]
pub struct EdgeMeter {
    /// Those that went well, by method: looked up once.
    well: RwLock<HashMap<&'static str, Well>>,
}

#[derive(Clone)]
struct Well {
    answered: Counter,
    seconds: Option<Histogram>,
}

impl EdgeMeter {
    fn well(&self, method: &'static str) -> Well {
        if let Some(known) = self.well.read().get(method) {
            return known.clone();
        }
        let fresh = Well {
            answered: counter!(ANSWERED, "method" => method, "kind" => "ok"),
            seconds: is_mcp(method)
                .then(|| operations::of(SERVER_OPERATIONS, (method, ""), (None, "tcp"), Ended::Well)),
        };
        self.well.write().insert(method, fresh.clone());
        fresh
    }
}

impl EdgeMeter {
    /// Counts a request that the edge answered itself, without a call.
    ///
    /// `method` is a known MCP method, `other`, `invalid` (no message could be read), or an HTTP method: a bounded set.
    /// `failure` is the reason of a refusal. `seconds` is the time spent on the request.
    pub(crate) fn record_answer(&self, method: &'static str, failure: Option<&Failure>, seconds: f64) {
        if let Some(failure) = failure {
            let row = failure.spec();
            counter!(ANSWERED, "method" => method, "kind" => row.kind).increment(1);
            if is_mcp(method) {
                let ended = Ended::Code(row.code.into());
                operations::of(SERVER_OPERATIONS, (method, ""), (None, "tcp"), ended).record(seconds);
            }
        } else {
            let well = self.well(method);
            well.answered.increment(1);
            if let Some(histogram) = well.seconds {
                histogram.record(seconds);
            }
        }
        let event = match (method, failure) {
            ("initialize", None) => "begun",
            ("DELETE", None) => "ended",
            (_, Some(Failure::SessionNotFound)) => "refused",
            _ => return,
        };
        counter!(SESSIONS, "event" => event).increment(1);
    }
}

/// Whether it is an MCP method that the edge has a name for, and not HTTP or nothing readable.
fn is_mcp(method: &str) -> bool {
    matches!(method, "initialize" | "ping") || method.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        assert_eq!(runtime::metrics::faults(&[METRICS]), Vec::<String>::new());
    }

    #[test]
    fn only_mcp_methods_are_operations() {
        for method in ["GET", "DELETE", "other", "invalid", "batch", "response"] {
            assert!(!is_mcp(method), "{method}");
        }
        assert!(["initialize", "ping", "tools/list"].into_iter().all(is_mcp));
    }
}
