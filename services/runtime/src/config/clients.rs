//! The limits of clients: bodies, connections, streams, stalls. Must not know who keeps them.

use std::time::Duration;

use super::variables::Settings;
use crate::descriptors;
use crate::env::{Reader, parse};

/// Most connections by default, however many descriptors there are.
const DEFAULT_CONNECTIONS: usize = 10_000;

/// What clients may use of a process, on the port of `MCP_SERVER_PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// `MAX_BODIES_BYTES`: memory of all request bodies at once, in bytes; at least twice the largest body.
    pub bodies: usize,
    /// `MAX_CONNECTIONS`: connections at once.
    pub connections: usize,
    /// `MAX_CONNECTIONS_PER_ADDRESS`: connections of one address at once; at most `connections`.
    pub connections_per_address: usize,
    /// `MAX_STREAMS_PER_CLIENT`: calls and GET streams of one client at once.
    pub streams_per_client: usize,
    /// `CLIENT_STALL_TIMEOUT`: time without progress after which a body or the reading of a response is given up.
    pub stall: Duration,
}

impl Default for ClientLimits {
    /// The documented defaults, for the descriptor limit of this process.
    fn default() -> Self {
        let connections = default_connections(descriptors::limit());
        Self {
            bodies: 128 * 1024 * 1024,
            connections,
            connections_per_address: half(connections),
            streams_per_client: 2000,
            stall: Duration::from_mins(1),
        }
    }
}

/// Reads the limits. `max_body` is the largest single body, in bytes.
pub(super) fn read(reader: &mut Reader<'_>, settings: &Settings, max_body: usize) -> ClientLimits {
    let connections = |range| parse::whole(range, "connections");
    let total = reader
        .optional(&settings.max_connections, connections(8..=1_000_000))
        .unwrap_or_else(|| default_connections(descriptors::limit()));
    let each = reader.optional(&settings.max_connections_per_address, connections(1..=1_000_000));
    if each.is_some_and(|each| each > total) {
        reader.reject(&settings.max_connections_per_address, "at most MAX_CONNECTIONS");
    }
    let bodies = reader.value(&settings.max_bodies_bytes, parse::whole(2048..=68_719_476_736, "bytes"));
    if bodies != 0 && bodies < max_body.saturating_mul(2) {
        reader.reject(&settings.max_bodies_bytes, "at least twice MAX_BODY_BYTES");
    }
    ClientLimits {
        bodies,
        connections: total,
        connections_per_address: each.unwrap_or_else(|| half(total)),
        streams_per_client: reader
            .value(&settings.max_streams_per_client, parse::whole(1..=1_000_000, "streams")),
        stall: reader.value(&settings.client_stall_timeout, parse::seconds(1.0..=3600.0)),
    }
}

/// Half of the descriptors: the rest is for slaves, operators, backends and files.
fn default_connections(descriptors: Option<usize>) -> usize {
    descriptors.map_or(DEFAULT_CONNECTIONS, |limit| half(limit).clamp(8, DEFAULT_CONNECTIONS))
}

fn half(number: usize) -> usize {
    number.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CommonConfig, EVERY, TRACES};
    use crate::env::{Problems, Snapshot};

    fn read(pairs: &[(&str, &str)]) -> Result<ClientLimits, Problems> {
        let snapshot = Snapshot::of(pairs.iter().copied());
        let tables = [EVERY, crate::config::AUDIT, TRACES];
        let mut reader = Reader::new("test", &snapshot, &tables);
        let config = CommonConfig::read(&mut reader).clients;
        reader.finish(config).map(|loaded| loaded.config)
    }

    #[test]
    fn connections_leave_half_of_the_descriptors_to_others() {
        assert_eq!(default_connections(Some(1024)), 512);
        assert_eq!(default_connections(Some(1_048_576)), DEFAULT_CONNECTIONS);
        assert_eq!(default_connections(None), DEFAULT_CONNECTIONS);
        assert_eq!(read(&[]).unwrap(), ClientLimits::default());
        let limits = read(&[("MAX_CONNECTIONS", "100")]).unwrap();
        assert_eq!((limits.connections, limits.connections_per_address), (100, 50));
    }

    #[test]
    fn limits_that_contradict_each_other_are_problems() {
        for (pairs, says) in [
            (
                &[("MAX_CONNECTIONS", "10"), ("MAX_CONNECTIONS_PER_ADDRESS", "11")][..],
                "at most MAX_CONNECTIONS",
            ),
            (&[("MAX_BODIES_BYTES", "33554431")][..], "at least twice MAX_BODY_BYTES"),
            (&[("MAX_STREAMS_PER_CLIENT", "0")][..], "MAX_STREAMS_PER_CLIENT"),
            (&[("CLIENT_STALL_TIMEOUT", "0")][..], "CLIENT_STALL_TIMEOUT"),
        ] {
            let problems = read(pairs).unwrap_err().to_string();
            assert!(problems.contains(says), "{problems}");
        }
        assert!(read(&[("MAX_BODY_BYTES", "1024"), ("MAX_BODIES_BYTES", "2048")]).is_ok());
    }
}
