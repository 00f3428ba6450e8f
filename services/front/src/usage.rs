//! What clients use of the process at the moment: memory of request bodies, streams, connections. Each is bounded for
//! one client and for all of them. Must not know HTTP.

use std::net::IpAddr;

use bytes::Bytes;
use protocol::mcp::failure::Failure;
use runtime::admission::{Exhausted, Limits, Network, Share, Shares};
use runtime::config::ClientLimits;

use crate::client::Client;
use crate::metrics::{ClientRefusal, record_client_refusal, set_usage};

/// Longest body, in bytes, that may use the part of the budget that is kept for small requests.
const SMALL_BODY: usize = 16 * 1024;

/// Seconds after which a refused client should try again.
pub(crate) const RETRY_AFTER: u32 = 1;

/// The amounts in use, and their limits.
#[derive(Debug)]
pub(crate) struct Usage {
    limits: ClientLimits,
    bodies: Shares<Client>,
    streams: Shares<Client>,
    connections: Shares<Network>,
}

/// One call or GET stream under way.
pub(crate) type StreamShare = Share<Client>;

/// One open connection.
pub(crate) type ConnectionShare = Share<Network>;

impl Usage {
    /// Nothing in use yet.
    pub(crate) fn new(limits: ClientLimits) -> Self {
        Self { limits, bodies: Shares::default(), streams: Shares::default(), connections: Shares::default() }
    }

    /// Begins the body of a client's request.
    pub(crate) fn body(&self, client: Option<Client>) -> BodyShare {
        BodyShare { share: self.bodies.empty(client), budget: self.limits.bodies }
    }

    /// Counts a request or a stream of a client until the share is dropped.
    pub(crate) fn stream(&self, client: Option<Client>) -> Result<StreamShare, Failure> {
        let limits = Limits { total: usize::MAX, each: self.limits.streams_per_client };
        self.streams.take(client, 1, limits).map_err(|_| {
            record_client_refusal(ClientRefusal::Streams);
            let what = format!("at most {} calls and streams at once (MAX_STREAMS_PER_CLIENT)", limits.each);
            Failure::ClientLimit { what, retry_after: RETRY_AFTER }
        })
    }

    /// Counts a connection from `peer` until the share is dropped. Without a peer it counts in the total only.
    pub(crate) fn connection(&self, peer: Option<IpAddr>) -> Result<ConnectionShare, Exhausted> {
        let limits = Limits { total: self.limits.connections, each: self.limits.connections_per_address };
        self.connections.take(peer.map(Network::from), 1, limits)
    }

    /// Sets the gauges.
    pub(crate) fn sample(&self) {
        set_usage(self.bodies.used(), self.streams.used(), self.connections.used());
    }
}

/// The memory of one request body.
#[derive(Debug)]
pub(crate) struct BodyShare {
    share: Share<Client>,
    budget: usize,
}

impl BodyShare {
    /// Reserves memory until the body has `bytes` in all. One client may have a half of the budget, and all together
    /// seven eighths; small bodies may use another eighth, so that they pass while large ones are refused.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Failure> {
        let eighth = self.budget / 8;
        let limits = if bytes <= SMALL_BODY {
            Limits { total: self.budget, each: self.budget / 2 + eighth }
        } else {
            Limits { total: self.budget - eighth, each: self.budget / 2 }
        };
        let more = bytes.saturating_sub(self.share.amount());
        self.share.grow(more, limits).map_err(|exhausted| {
            let what = "request bodies use the memory that they may use (MAX_BODIES_BYTES)".to_owned();
            match exhausted {
                Exhausted::Each => {
                    record_client_refusal(ClientRefusal::BodyShare);
                    Failure::ClientLimit { what, retry_after: RETRY_AFTER }
                }
                Exhausted::Total => {
                    record_client_refusal(ClientRefusal::Bodies);
                    Failure::Overloaded { what, retry_after: RETRY_AFTER }
                }
            }
        })
    }

    /// Returns the body with its reservation, which ends when the last reference to the bytes is dropped.
    pub(crate) fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Counted { bytes, _share: self.share })
    }
}

/// A body and the reservation of its memory.
struct Counted {
    bytes: Bytes,
    _share: Share<Client>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use protocol::mcp::failure::FailureKind;

    use super::*;

    const MIB: usize = 1 << 20;

    fn usage() -> Usage {
        Usage::new(ClientLimits { bodies: 8 * MIB, streams_per_client: 2, ..ClientLimits::default() })
    }

    fn client(host: u8) -> Option<Client> {
        Client::of(crate::Principal::ANYONE, Some([10, 0, 0, host].into()))
    }

    fn take(usage: &Usage, host: u8, bytes: usize) -> Result<Bytes, FailureKind> {
        let mut share = usage.body(client(host));
        share.grow_to(bytes).map_err(|failure| failure.kind())?;
        Ok(share.hold(Bytes::from_static(b"x")))
    }

    #[test]
    fn one_client_gets_a_half_and_large_bodies_leave_an_eighth() {
        let usage = usage();
        let first = take(&usage, 1, 4 * MIB).unwrap();
        assert_eq!(take(&usage, 1, MIB).unwrap_err(), FailureKind::ClientLimit);
        let _small = take(&usage, 1, SMALL_BODY).unwrap();
        let _second = take(&usage, 2, 2 * MIB).unwrap();
        assert_eq!(take(&usage, 3, MIB).unwrap_err(), FailureKind::Overloaded);
        assert!(take(&usage, 3, SMALL_BODY).is_ok());
        let slice = first.slice(..);
        drop(first);
        assert_eq!(take(&usage, 3, MIB).unwrap_err(), FailureKind::Overloaded, "somebody has the bytes");
        drop(slice);
        assert!(take(&usage, 3, MIB).is_ok());
    }

    #[test]
    fn a_body_that_is_given_up_is_returned() {
        let usage = usage();
        let mut share = usage.body(client(1));
        share.grow_to(MIB).unwrap();
        share.grow_to(4 * MIB).unwrap();
        assert!(share.grow_to(4 * MIB + 1).is_err());
        assert_eq!(usage.bodies.used(), 4 * MIB);
        drop(share);
        assert_eq!(usage.bodies.used(), 0);
    }

    #[test]
    fn streams_are_counted_for_each_client() {
        let usage = usage();
        let held: Vec<_> = (0..2).map(|_| usage.stream(client(1)).unwrap()).collect();
        assert_eq!(usage.stream(client(1)).unwrap_err().kind(), FailureKind::ClientLimit);
        assert!(usage.stream(client(2)).is_ok());
        assert!((0..9).all(|_| usage.stream(None).is_ok()), "nobody in particular");
        drop(held);
        assert!(usage.stream(client(1)).is_ok());
    }
}
