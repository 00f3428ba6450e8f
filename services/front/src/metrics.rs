//! Metrics of the edge, the same for every process that serves MCP clients. Must not know what takes the calls.

mod clients;
mod operations;
mod usage;

use std::collections::HashMap;

use metrics::{Counter, Histogram, counter, gauge};
use parking_lot::RwLock;
use protocol::mcp::failure::Failure;
use runtime::metrics::{Label, Metric};

use crate::outcome::CallOutcome;
pub(crate) use clients::record_introduction;
pub use operations::{OPERATION_BUCKETS, OPERATION_LABELS, OperationSide, SERVER_OPERATIONS, ToolOperations};
pub(crate) use usage::{ClientRefusal, record_client_refusal, set_usage};

const REQUESTS: &str = "mcp_relay_edge_requests_total";
const SESSIONS: &str = "mcp_relay_sessions_total";
const STREAMS: &str = "mcp_relay_listening_streams";

/// All series of the edge.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        REQUESTS,
        &[Label::open("method"), Label::open("kind")],
        "Requests that the edge answered without a call, by MCP method (or HTTP method, batch, response, invalid, other) and kind (ok, or the failure's kind; unauthorized: clients without a key).",
    ),
    Metric::counter(
        SESSIONS,
        &[Label::of("event", &["begun", "ended", "refused"])],
        "Sessions of legacy clients that began, sessions that their clients ended, and requests that were refused because their session is unknown, expired or ended.",
    ),
    Metric::gauge(
        STREAMS,
        &[],
        "Streams of changes that clients have open: GET of legacy clients, subscriptions/listen of modern ones.",
    ),
    Metric::seconds(
        SERVER_OPERATIONS,
        OPERATION_BUCKETS,
        OPERATION_LABELS,
        "OpenTelemetry's mcp.server.operation.duration: MCP requests and notifications of clients, from their arrival to the end of the answer.",
    ),
    clients::SERIES,
    usage::REFUSALS_SERIES,
    usage::BODIES_SERIES,
    usage::STREAMS_SERIES,
    usage::CONNECTIONS_SERIES,
];

/// Sets the gauge of open GET streams.
pub(crate) fn set_listening_streams(count: usize) {
    gauge!(STREAMS).set(count as f64);
}

/// Counter of the requests that the edge answers itself.
#[derive(Default)]
pub struct EdgeMeter {
    /// Handles of successful requests by method, each looked up once.
    success: RwLock<HashMap<&'static str, MethodMeter>>,
}

/// Handles of one method's successful requests.
#[derive(Clone)]
struct MethodMeter {
    requests: Counter,
    seconds: Option<Histogram>,
}

impl EdgeMeter {
    fn success(&self, method: &'static str) -> MethodMeter {
        if let Some(known) = self.success.read().get(method) {
            return known.clone();
        }
        let histogram = || OperationSide::SERVER.histogram(method, "", None, CallOutcome::Success);
        let meter = MethodMeter {
            requests: counter!(REQUESTS, "method" => method, "kind" => "ok"),
            seconds: is_mcp(method).then(histogram),
        };
        self.success.write().insert(method, meter.clone());
        meter
    }
}

impl EdgeMeter {
    /// Counts a request that the edge answered itself, without a call.
    ///
    /// `method` is a known MCP method, `other`, `invalid` (no message could be read), or an HTTP method: a bounded set.
    /// `failure` is the reason of a refusal. `seconds` is the time spent on the request.
    pub(crate) fn record_answer(&self, method: &'static str, failure: Option<&Failure>, seconds: f64) {
        if let Some(failure) = failure {
            let spec = failure.spec();
            counter!(REQUESTS, "method" => method, "kind" => spec.kind).increment(1);
            if is_mcp(method) {
                OperationSide::SERVER.record(method, CallOutcome::Code(spec.code.into()), seconds);
            }
        } else {
            let meter = self.success(method);
            meter.requests.increment(1);
            if let Some(histogram) = meter.seconds {
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

/// Whether a label is the name of an MCP method, rather than of an HTTP method or of something unreadable.
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
