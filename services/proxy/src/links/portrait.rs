//! A slave as people are shown it. Must not know how it is shown.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::slave::{Carrier, Slave};
use crate::slave_state::SlaveState;

/// Characters of a slave's own word on its program that are kept.
const MOST_AGENT: usize = 100;

/// When a link came up, and from where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) peer: SocketAddr,
    pub(super) at: SystemTime,
}

/// What is known of the one behind a link, beside what calls need.
#[derive(Default)]
pub(super) struct Particulars {
    /// Program and version, as it says.
    agent: String,
    arrival: Mutex<Option<Arrival>>,
}

/// A slave at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Portrait {
    /// Tells it from others of the same name.
    pub(crate) id: String,
    pub(crate) name: String,
    /// The name that its code gives it.
    pub(crate) identity: Option<String>,
    pub(crate) state: SlaveState,
    pub(crate) reason: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) agent: String,
    pub(crate) dialect: &'static str,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) in_flight: usize,
    /// 0: no limit.
    pub(crate) capacity: usize,
    pub(crate) weight: u32,
    pub(crate) tools: Vec<String>,
    /// Where its link came from, and since when it is up; of one without a link, the last.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) since: Option<SystemTime>,
}

impl Particulars {
    pub(super) fn of(agent: &str) -> Self {
        Self { agent: agent.chars().take(MOST_AGENT).collect(), arrival: Mutex::default() }
    }
}

impl Slave {
    /// Its link came up just now.
    pub(super) fn arrived(&self, peer: SocketAddr) {
        let arrival = Arrival { peer, at: SystemTime::now() };
        *self.particulars.arrival.lock() = Some(arrival);
    }

    /// How it looks now.
    pub(crate) fn portrait(&self) -> Portrait {
        let (health, facts) = (self.health(), self.facts());
        let arrival = *self.particulars.arrival.lock();
        let dialect = match &*self.carrier() {
            Carrier::Native(_) => "native",
            Carrier::Plain(_) => "plain",
        };
        Portrait {
            id: format!("{:016x}", self.key),
            name: self.name.clone(),
            identity: facts.identity().map(str::to_owned),
            state: health.state,
            reason: health.reason,
            labels: facts.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            agent: self.particulars.agent.clone(),
            dialect,
            round_trip: health.round_trip,
            in_flight: self.load.in_flight(),
            capacity: self.load.capacity(),
            weight: self.weight,
            tools: self.catalog().tools.iter().map(|tool| tool.name.clone()).collect(),
            peer: arrival.map(|arrival| arrival.peer),
            since: arrival.map(|arrival| arrival.at),
        }
    }
}
