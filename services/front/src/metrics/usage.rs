//! What clients use at the moment, and what was refused for it. Must not know the limits.

use metrics::{Unit, counter, gauge};
use runtime::metrics::{Label, Metric};

const REFUSALS: &str = "mcp_relay_client_refusals_total";
const BODIES: &str = "mcp_relay_request_body_bytes";
const STREAMS: &str = "mcp_relay_client_streams";
const CONNECTIONS: &str = "mcp_relay_client_connections";

/// The series of refusals.
pub(super) const REFUSALS_SERIES: Metric = Metric::counter(
    REFUSALS,
    &[Label::of("reason", &ClientRefusal::LABELS)],
    "Requests and connections of clients that were refused or given up for what they use. body_share, bodies: MAX_BODIES_BYTES, by one client or by all; streams: MAX_STREAMS_PER_CLIENT; connections, connections_per_address: the variables of these names; body_timeout, header_timeout: too slow; stalled: took nothing of the response for CLIENT_STALL_TIMEOUT.",
);

/// The series of request bodies.
pub(super) const BODIES_SERIES: Metric =
    Metric::gauge(BODIES, &[], "Memory of request bodies that are being read or that calls still need.")
        .in_unit(Unit::Bytes);

/// The series of streams.
pub(super) const STREAMS_SERIES: Metric =
    Metric::gauge(STREAMS, &[], "Requests under way and GET streams of clients.");

/// The series of connections.
pub(super) const CONNECTIONS_SERIES: Metric =
    Metric::gauge(CONNECTIONS, &[], "Connections of clients that are open.");

/// Why a request or a connection of a client was refused or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientRefusal {
    BodyShare,
    Bodies,
    BodyTimeout,
    Streams,
    Connections,
    ConnectionsPerAddress,
    HeaderTimeout,
    Stalled,
}

impl ClientRefusal {
    const ALL: [Self; 8] = [
        Self::BodyShare,
        Self::Bodies,
        Self::BodyTimeout,
        Self::Streams,
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::HeaderTimeout,
        Self::Stalled,
    ];

    const LABELS: [&'static str; Self::ALL.len()] = {
        let mut labels = [""; Self::ALL.len()];
        let mut at = 0;
        while at < labels.len() {
            labels[at] = Self::ALL[at].label();
            at += 1;
        }
        labels
    };

    /// Returns the label of the metric.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::BodyShare => "body_share",
            Self::Bodies => "bodies",
            Self::BodyTimeout => "body_timeout",
            Self::Streams => "streams",
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::HeaderTimeout => "header_timeout",
            Self::Stalled => "stalled",
        }
    }
}

/// Counts a refusal.
pub(crate) fn record_client_refusal(reason: ClientRefusal) {
    counter!(REFUSALS, "reason" => reason.label()).increment(1);
}

/// Sets the gauges of what is used.
pub(crate) fn set_usage(body_bytes: usize, streams: usize, connections: usize) {
    gauge!(BODIES).set(body_bytes as f64);
    gauge!(STREAMS).set(streams as f64);
    gauge!(CONNECTIONS).set(connections as f64);
}
