//! Snapshots of a slave for status pages and metrics. Must not know how they are shown.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use protocol::mcp::catalog::CatalogServer;

use super::bounds::LeftOut;
use super::slave::{LinkState, Slave};
use crate::metrics::LinkUsage;
use crate::slave_state::SlaveState;

/// How long a client must have taken nothing of a response before its call counts as unread.
const READER_STOPPED_AFTER: Duration = Duration::from_secs(2);

/// A slave at one moment, as operators are shown it.
#[derive(Clone, Debug)]
pub(crate) struct SlaveSnapshot {
    /// Distinguishes slaves of the same name.
    pub(crate) id: String,
    pub(crate) name: String,
    /// The identity that its code gives it.
    pub(crate) identity: Option<String>,
    pub(crate) state: SlaveState,
    pub(crate) reason: String,
    /// Whether an operator drains it.
    pub(crate) held: bool,
    pub(crate) labels: Vec<(String, String)>,
    /// Program and version, as the slave announced them.
    pub(crate) agent: String,
    pub(crate) dialect: &'static str,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) in_flight: usize,
    /// 0: no limit.
    pub(crate) capacity: usize,
    /// Percent.
    pub(crate) weight: u32,
    /// What it announced beyond what its code allows, in words.
    pub(crate) beyond: Vec<String>,
    /// Tools that its code does not allow.
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) tools: Vec<String>,
    /// Its backends, in its order.
    pub(crate) backends: Vec<CatalogServer>,
    /// Address that the current or last link comes from.
    pub(crate) peer: Option<SocketAddr>,
    /// Time at which that link was established.
    pub(crate) since: Option<SystemTime>,
}

impl Slave {
    /// Returns a snapshot for operators.
    pub(crate) fn snapshot(&self) -> SlaveSnapshot {
        let (health, grant) = (self.health_snapshot(), self.grant());
        let connected = self.info.connected_at();
        let catalog = self.catalog();
        let dialect = match &*self.link() {
            LinkState::Native(_) => "native",
            LinkState::Plain(_) => "plain",
        };
        SlaveSnapshot {
            id: self.id(),
            name: self.name.clone(),
            identity: grant.identity().name().map(str::to_owned),
            state: health.state,
            reason: health.reason,
            held: self.health.is_held(),
            labels: grant.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            agent: self.info.agent().to_owned(),
            dialect,
            round_trip: health.round_trip,
            in_flight: self.active.in_flight(),
            capacity: self.active.capacity(),
            weight: self.weight(),
            beyond: self.bounds.beyond(),
            left_out: self.bounds.left_out(),
            tools: catalog.tools.iter().map(|tool| tool.name.clone()).collect(),
            backends: catalog.servers.clone(),
            peer: connected.map(|connected| connected.peer),
            since: connected.map(|connected| connected.time),
        }
    }

    /// Returns the calls in flight and the bytes of them that are buffered, for the metrics.
    pub(super) fn buffered_bytes(&self) -> LinkUsage {
        let ((to_slave, from_slave), unread) = match &*self.link() {
            LinkState::Native(end) => {
                (end.buffered_bytes(), end.unread_calls(Instant::now(), READER_STOPPED_AFTER))
            }
            LinkState::Plain(_) => ((0, 0), 0),
        };
        LinkUsage { calls: self.active.in_flight(), to_slave, from_slave, unread }
    }
}
