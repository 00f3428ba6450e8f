//! Admission of clients' connections: so many in total and for each address. Must not know requests.

use std::net::IpAddr;

use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use runtime::admission::{Exhausted, Limits, Network, Refusals, Shares, unavailable};
use runtime::repeats::{self, Kind, Repeats};

use super::limits::{MAX_BEYOND, MAX_REFUSALS};
use super::port::Accepted;
use super::upgrade::Upgrades;
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
pub(super) struct Admission {
    refusals: Refusals,
    /// Connections beyond the limits, of which some may be for an upgrade; `None`: there are no upgrades.
    beyond: Option<Shares<Network>>,
}

/// A connection that was let in.
pub(super) struct LetIn {
    pub(super) accepted: Accepted,
    /// Returned when the connection is closed.
    pub(super) share: ConnectionShare,
    /// The limit that the connection exceeds, so that it is for an upgrade alone.
    pub(super) beyond: Option<Beyond>,
}

/// A limit that a connection exceeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beyond(Exhausted);

impl Beyond {
    /// Reports the refusal of a request that is for no upgrade.
    pub(super) fn refuse(self, peer: IpAddr) -> Failure {
        let what = report(peer, self.0);
        Failure::Overloaded { what: what.to_owned(), retry_after: RETRY_AFTER }
    }
}

impl Admission {
    /// Returns the admission of a port, with upgrades or without.
    pub(super) fn new(upgrades: Option<&Upgrades>) -> Self {
        Self { refusals: Refusals::new(MAX_REFUSALS), beyond: upgrades.map(|_| Shares::default()) }
    }

    /// Admits a connection, or refuses it at the least cost: with 503, or on a port with TLS without an answer, which
    /// would require a handshake. Trusted proxies have connections of many clients: their own addresses are not
    /// limited.
    pub(super) fn admit<C: Calls>(&self, accepted: Accepted, edge: &Edge<C>) -> Option<LetIn> {
        let counted = (!edge.config.trusted.trusts(accepted.peer)).then_some(accepted.peer);
        match edge.usage.connection(counted) {
            Ok(share) => Some(LetIn { accepted, share, beyond: None }),
            Err(exhausted) => {
                if let Some(share) = self.let_in_beyond(counted) {
                    Some(LetIn { accepted, share, beyond: Some(Beyond(exhausted)) })
                } else {
                    self.refuse(accepted, exhausted);
                    None
                }
            }
        }
    }

    /// Lets in a few beyond the limits, since clients must not keep those out whose connections are for an upgrade.
    fn let_in_beyond(&self, counted: Option<IpAddr>) -> Option<ConnectionShare> {
        let limits = Limits { total: MAX_BEYOND, each: MAX_BEYOND / 8 };
        self.beyond.as_ref()?.take(counted.map(Network::from), 1, limits).ok()
    }

    fn refuse(&self, accepted: Accepted, exhausted: Exhausted) {
        let limit = report(accepted.peer, exhausted);
        refuse(&self.refusals, accepted, limit);
    }
}

/// Reports a refusal. Returns the limit in words.
fn report(peer: IpAddr, exhausted: Exhausted) -> &'static str {
    let (reason, limit) = match exhausted {
        Exhausted::Total => (ClientRefusal::Connections, "too many connections (MAX_CONNECTIONS)"),
        Exhausted::Each => (
            ClientRefusal::ConnectionsPerAddress,
            "too many connections of one address (MAX_CONNECTIONS_PER_ADDRESS)",
        ),
    };
    record_client_refusal(reason);
    log_first(peer, limit);
    limit
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
