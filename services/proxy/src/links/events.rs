//! The handling of a slave's messages other than answers to calls: its tools, its drain, its other proxies. Must not
//! know sockets.

use std::time::Instant;

use protocol::link::peers::Peers;
use protocol::link::proxy_end::ProxyEvent;
use protocol::link::session_fact::SessionFact;
use protocol::mcp::catalog::{Catalog, CatalogError};

use super::audit;
use super::plain::PlainEvent;
use super::registry::Registry;
use super::slave::Slave;
use crate::metrics;

/// Handles an event of a native link. An error is a violation of the protocol.
pub(super) fn on_event(event: &ProxyEvent, slave: &Slave, registry: &Registry) -> Result<(), CatalogError> {
    match event {
        ProxyEvent::Catalog(json) => on_catalog(Catalog::decode(json)?, slave, registry),
        ProxyEvent::Draining => {
            tracing::info!(slave = slave.name, "Slave is going down: it gets no new calls");
            slave.set_draining();
            metrics::record_slave_drain(&slave.name);
            registry.publish_change(slave);
        }
        ProxyEvent::Peers(json) => {
            if let Some(peers) = Peers::decode(json) {
                registry.peers().report(slave.key, &peers.proxies, Instant::now());
            }
        }
        ProxyEvent::Session(json) => {
            // A cancellation has no meaning in this direction.
            if let Some(SessionFact::Ended(end)) = SessionFact::decode(json) {
                registry.on_forwarded_session_end(&end, slave);
            }
        }
        ProxyEvent::UnknownCall(kind) => {
            metrics::record_unknown_call();
            tracing::debug!(slave = slave.name, "{} for a call that is not under way", kind.name());
        }
    }
    Ok(())
}

/// Handles the event of a text frame on a plain link.
pub(super) fn on_plain_message(event: PlainEvent, slave: &Slave, registry: &Registry) {
    match event {
        PlainEvent::Catalog(Ok(catalog)) => on_catalog(catalog, slave, registry),
        PlainEvent::Catalog(Err(error)) => {
            tracing::warn!(slave = slave.name, "Slave's tool list is unusable: {error}");
        }
        PlainEvent::UnknownCall => metrics::record_unknown_call(),
        PlainEvent::Response | PlainEvent::Nothing => {}
    }
}

fn on_catalog(catalog: Catalog, slave: &Slave, registry: &Registry) {
    tracing::info!(slave = slave.name, tools = catalog.tools.len(), "Slave offers its tools");
    let before = slave.catalog();
    slave.set_catalog(catalog);
    audit::catalog(slave, &before, &slave.catalog());
    registry.publish_change(slave);
}
