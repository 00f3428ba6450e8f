//! The paths to the same tool that are compared, and a measured block on one of them.

use std::path::Path;
use std::time::Duration;

use crate::error::Result;
use crate::load::{Load, Until};
use crate::nginx::Nginx;
use crate::process::Process;
use crate::relay::Relay;
use crate::tls::Target;
use crate::tunnel::{self, Tunnel};

/// A path from a client to the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The slave's own HTTP port.
    Direct,
    /// Proxy, link, slave.
    Relay,
    /// nginx, the slave's own HTTP port.
    Nginx,
    /// Both ends of wstunnel, the slave's own HTTP port.
    Wstunnel,
}

impl Way {
    /// Name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Nginx => "nginx",
            Self::Wstunnel => "wstunnel",
        }
    }
}

/// Everything that one run measures: a relay, and nginx and wstunnel before the same slave.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// Declared before the relay, so that they are stopped first.
    nginx: Nginx,
    tunnel: Option<Tunnel>,
    /// The relay.
    pub(crate) relay: Relay,
}

/// Costs and latencies of one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// CPU microseconds a call of the processes in front (proxy, nginx, or both ends of wstunnel); 0 for the direct way.
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

impl Sample {
    /// CPU microseconds a call of all processes.
    pub(crate) fn both(&self) -> f64 {
        self.front + self.slave
    }
}

impl Fleet {
    /// Starts all processes and waits until each path answers.
    pub(crate) fn start(binary: &Path) -> Result<Self> {
        let relay = Relay::start(binary)?;
        let nginx = Nginx::start(relay.direct)?;
        let tunnel = tunnel::binary().map(|binary| Tunnel::start(&binary, relay.direct)).transpose()?;
        Ok(Self { nginx, tunnel, relay })
    }

    /// All ways there are, in the order of a round.
    pub(crate) fn ways(&self) -> Vec<Way> {
        let mut ways = vec![Way::Direct, Way::Relay, Way::Nginx];
        ways.extend(self.tunnel.is_some().then_some(Way::Wstunnel));
        ways
    }

    /// How clients reach this path; the relay where there is no such way.
    pub(crate) fn target(&self, way: Way) -> Target {
        Target::plain(match way {
            Way::Direct => self.relay.direct,
            Way::Relay => self.relay.proxy.http,
            Way::Nginx => self.nginx.http,
            Way::Wstunnel => self.tunnel.as_ref().map_or(self.relay.proxy.http, |tunnel| tunnel.http),
        })
    }

    /// The processes before the slave on this way.
    pub(crate) fn front(&self, way: Way) -> Vec<&Process> {
        match way {
            Way::Direct => Vec::new(),
            Way::Relay => vec![&self.relay.proxy.process],
            Way::Nginx => vec![&self.nginx.process],
            Way::Wstunnel => self.tunnel.iter().flat_map(|tunnel| [&tunnel.server, &tunnel.client]).collect(),
        }
    }

    /// Runs one block and returns its costs for each call.
    pub(crate) fn sample(&self, way: Way, load: &mut Load, time: Duration) -> Result<Sample> {
        sample(&self.front(way), &self.relay.slave, load, time)
    }
}

/// Runs one block and returns the costs of each call at `front` and `slave`.
pub(crate) fn sample(front: &[&Process], slave: &Process, load: &mut Load, time: Duration) -> Result<Sample> {
    let cpu = || Ok((sum(front, Process::cpu_micros)?, slave.cpu_micros()?));
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

/// A quantity of all these processes.
pub(crate) fn sum(processes: &[&Process], quantity: impl Fn(&Process) -> Result<u64>) -> Result<u64> {
    processes.iter().map(|process| quantity(process)).sum()
}
