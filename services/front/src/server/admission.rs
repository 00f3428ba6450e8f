//! Admission of clients' connections: so many in total and for each address. Must not know requests.

use std::net::IpAddr;

use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use runtime::admission::{Exhausted, Refusals, unavailable};
use runtime::repeats::{self, Kind, Repeats};

use super::limits::MAX_REFUSALS;
use super::port::Accepted;
use crate::calls::Calls;
use crate::edge::Edge;
use crate::jsonrpc::{UnknownId, error_without_id};
use crate::metrics::{ClientRefusal, record_client_refusal};
use crate::usage::{ConnectionShare, RETRY_AFTER};

/// Refused connections, as log lines.
static REFUSED: Kind = Kind { name: "client_connection", write: log_repeats };

fn log_repeats(repeats: &Repeats) {
    let Repeats { reason, count, seconds, .. } = repeats;
    tracing::warn!(
        peer = repeats.peers(),
        "Client connection refused: {reason}, and {count} more like it in the last {seconds} s"
    );
}

/// The admission of one port's connections.
pub(super) struct Admission(Refusals);

impl Admission {
    pub(super) fn new() -> Self {
        Self(Refusals::new(MAX_REFUSALS))
    }

    /// Admits a connection, or refuses it at the least cost: with 503, or on a port with TLS without an answer, which
    /// would require a handshake. Trusted proxies have connections of many clients: their own addresses are not
    /// limited.
    pub(super) fn admit<C: Calls>(
        &self,
        accepted: Accepted,
        edge: &Edge<C>,
    ) -> Option<(Accepted, ConnectionShare)> {
        let counted = (!edge.config.trusted.trusts(accepted.peer)).then_some(accepted.peer);
        match edge.usage.connection(counted) {
            Ok(share) => Some((accepted, share)),
            Err(exhausted) => {
                self.refuse(accepted, exhausted);
                None
            }
        }
    }

    fn refuse(&self, accepted: Accepted, exhausted: Exhausted) {
        let (reason, limit) = match exhausted {
            Exhausted::Total => (ClientRefusal::Connections, "too many connections (MAX_CONNECTIONS)"),
            Exhausted::Each => (
                ClientRefusal::ConnectionsPerAddress,
                "too many connections of one address (MAX_CONNECTIONS_PER_ADDRESS)",
            ),
        };
        record_client_refusal(reason);
        log_first(accepted.peer, limit);
        refuse(&self.0, accepted, limit);
    }
}

/// Refuses a connection for this limit.
pub(super) fn refuse(refusals: &Refusals, accepted: Accepted, limit: &str) {
    if let Some(stream) = accepted.into_plain() {
        refusals.send(stream, || answer(limit));
    }
}

fn log_first(peer: IpAddr, limit: &'static str) {
    if repeats::is_first(&REFUSED, Some(peer), limit) {
        tracing::warn!(%peer, "Client connection refused: {limit}");
    }
}

/// Builds the HTTP answer from the failure table: status, `Retry-After` and the JSON-RPC error.
fn answer(limit: &str) -> String {
    let failure = Failure::Overloaded { what: limit.to_owned(), retry_after: RETRY_AFTER };
    // The client's version is not known.
    let body = error_without_id(&failure, Era::Legacy, UnknownId::Absent);
    unavailable(failure.spec().modern, RETRY_AFTER, &body)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_refusal_is_a_whole_http_response() {
        let answer = super::answer("too many (X)");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: 1\r\n"), "{head}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["data"]["kind"], "overloaded");
        assert!(body.get("id").is_none(), "neither a guess nor null: {body}");
    }
}
