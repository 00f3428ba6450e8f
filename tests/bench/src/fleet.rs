//! The three paths to the same tool that are compared, and a measured block on one of them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::error::Result;
use crate::load::{Load, Until};
use crate::nginx::Nginx;
use crate::process::Process;
use crate::relay::Relay;

/// A path from a client to the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The slave's own HTTP port.
    Direct,
    /// Proxy, link, slave.
    Relay,
    /// nginx, the slave's own HTTP port.
    Nginx,
}

impl Way {
    /// All, in the order of a round.
    pub(crate) const ALL: [Self; 3] = [Self::Direct, Self::Relay, Self::Nginx];

    /// Name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Nginx => "nginx",
        }
    }
}

/// Everything that one run measures: a relay, and nginx before the same slave.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// Declared before the relay, so that it is stopped first.
    nginx: Nginx,
    /// The relay.
    pub(crate) relay: Relay,
}

/// Costs and latencies of one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// CPU microseconds a call of the process in front (proxy or nginx); 0 for the direct way.
    pub(crate) front: f64,
    /// CPU microseconds a call of the slave.
    pub(crate) slave: f64,
    /// Calls a second.
    pub(crate) rate: f64,
    /// Median latency, in microseconds.
    pub(crate) p50: f64,
    /// 99th percentile of latency, in microseconds.
    pub(crate) p99: f64,
}

impl Fleet {
    /// Starts all processes and waits until each path answers.
    pub(crate) fn start(binary: &Path) -> Result<Self> {
        let relay = Relay::start(binary)?;
        Ok(Self { nginx: Nginx::start(relay.direct)?, relay })
    }

    /// Address for clients of this path.
    pub(crate) fn address(&self, way: Way) -> SocketAddr {
        match way {
            Way::Direct => self.relay.direct,
            Way::Relay => self.relay.proxy.http,
            Way::Nginx => self.nginx.http,
        }
    }

    /// The process in front of the slave on this way.
    pub(crate) fn front(&self, way: Way) -> Option<&Process> {
        match way {
            Way::Direct => None,
            Way::Relay => Some(&self.relay.proxy.process),
            Way::Nginx => Some(&self.nginx.process),
        }
    }

    /// Runs one block and returns its costs for each call.
    pub(crate) fn sample(&self, way: Way, load: &mut Load, time: Duration) -> Result<Sample> {
        sample(self.front(way), &self.relay.slave, load, time)
    }
}

/// Runs one block and returns the costs of each call at `front` and `slave`.
pub(crate) fn sample(
    front: Option<&Process>,
    slave: &Process,
    load: &mut Load,
    time: Duration,
) -> Result<Sample> {
    let cpu = || Ok((front.map_or(Ok(0), Process::cpu_micros)?, slave.cpu_micros()?));
    let before = cpu()?;
    let block = load.run(&Until::Elapsed(time))?;
    let after = cpu()?;
    let calls = block.latencies.len().max(1) as f64;
    Ok(Sample {
        front: (after.0 - before.0) as f64 / calls,
        slave: (after.1 - before.1) as f64 / calls,
        rate: block.rate,
        p50: block.latencies.percentile(50.0),
        p99: block.latencies.percentile(99.0),
    })
}
