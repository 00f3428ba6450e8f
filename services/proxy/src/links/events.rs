//! The handling of a slave's messages other than answers to calls: its tools, its drain, its other proxies. Must not
//! know sockets.

use std::time::Instant;

use bytes::Bytes;
use protocol::link::peers::Peers;
use protocol::link::proxy_end::ProxyEvent;
use protocol::link::session_fact::SessionFact;
use protocol::mcp::catalog::CatalogError;

use super::catalog::Received;
use super::plain::PlainEvent;
use super::plain_tools;
use super::registry::Registry;
use super::slave::Slave;
use crate::metrics;

/// Handles an event of a native link. An error is a violation of the protocol.
pub(super) fn on_event(event: &ProxyEvent, slave: &Slave, registry: &Registry) -> Result<(), CatalogError> {
    match event {
        ProxyEvent::Catalog(json) => {
            let received = slave.receive_part(json, registry.catalogs(), Instant::now())?;
            on_received(received, slave, registry);
        }
        ProxyEvent::Draining => {
            tracing::info!(slave = slave.name, "Slave is going down: it gets no new calls");
            slave.set_draining();
            metrics::record_slave_drain(&slave.name);
            registry.publish_change(slave);
        }
        ProxyEvent::Peers(json) => {
            if let Some(peers) = Peers::decode(json) {
                registry.peers().report(slave.key, &peers.proxies, &slave.false_peers, Instant::now());
            }
        }
        ProxyEvent::Session(json) => {
            match SessionFact::decode(json) {
                Some(SessionFact::Ended(end)) => registry.on_forwarded_session_end(&end, slave),
                Some(SessionFact::Revoked(facts)) => registry.on_forwarded_revocations(&facts, slave),
                Some(SessionFact::Rotated(facts)) => registry.on_forwarded_rotations(&facts, slave),
                // A cancellation, for one, has no meaning in this direction.
                _ => {}
            }
        }
        ProxyEvent::UnknownCall(kind) => {
            metrics::record_unknown_call();
            tracing::debug!(slave = slave.name, "{} for a call that is not under way", kind.name());
        }
    }
    Ok(())
}

/// Handles the event of a text frame on a plain link. The caller holds no link's lock.
pub(super) fn on_plain_message(event: PlainEvent, text: &Bytes, slave: &Slave, registry: &Registry) {
    match event {
        PlainEvent::Tools(pages) => {
            let read =
                pages.and_then(|pages| slave.receive_tools(&plain_tools::read(&pages)?, registry.catalogs()));
            match read {
                Ok(()) => on_received(Received::Changed, slave, registry),
                Err(error) => tracing::warn!(slave = slave.name, "Slave's tool list is unusable: {error}"),
            }
        }
        PlainEvent::Elsewhere(id) => {
            if !id.is_some_and(|id| registry.deliver_late(id, text, slave)) {
                metrics::record_unknown_call();
            }
        }
        PlainEvent::Response | PlainEvent::Nothing => {}
    }
}

/// Publishes that the slave offers something else.
pub(super) fn on_received(received: Received, slave: &Slave, registry: &Registry) {
    if received == Received::Changed {
        let tools = slave.catalog().tools.len();
        // Until its first whole catalog is there, a slave says part by part what it offers.
        let is_whole = slave.catalog_deadline().is_none();
        if !is_whole {
            tracing::debug!(slave = slave.name, tools, "Slave offers a part of its tools");
        } else if tools > 0 {
            tracing::info!(slave = slave.name, tools, "Slave offers its tools");
        } else {
            tracing::warn!(
                slave = slave.name,
                "Slave offers no tool: see its log, or run mcp-relay doctor there"
            );
        }
        registry.publish_change(slave);
    }
}
