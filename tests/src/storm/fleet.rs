//! The processes of a storm: proxies, slaves with the counting backend, and a cutting proxy before each slave.

use std::net::SocketAddr;

use super::TOTAL;
use crate::fault::{Fault, FaultProxy};
use crate::fixture::Fixture;
use crate::metrics::Scrape;
use crate::relay::{Proxy, Setup, Slave};
use crate::wait;

/// How many processes.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Each takes clients.
    pub proxies: usize,
    /// Each is linked to one of the proxies in turn.
    pub slaves: usize,
}

/// One slave and its way to its proxy.
pub(super) struct Place {
    /// Whether it may be killed; the first is not, so that its memory can be watched.
    pub(super) mortal: bool,
    pub(super) setup: Setup,
    pub(super) slave: Slave,
    pub(super) fault: FaultProxy,
}

/// Everything that runs.
pub struct Fleet {
    pub(super) seed: u64,
    pub(super) rounds: u64,
    pub(super) proxies: Vec<Proxy>,
    pub(super) places: Vec<Place>,
    /// Where executions are counted.
    pub fixture: Fixture,
}

impl Fleet {
    /// Starts all processes and waits until every slave offers its tool.
    pub async fn start(seed: u64, size: Size) -> Self {
        let fixture = Fixture::default();
        let mut proxies = Vec::new();
        for _ in 0..size.proxies {
            let setup =
                Setup::proxy().quick_pings().env("LINK_GRACE", "4").env("SESSION_KEY", "k".repeat(40));
            let setup = setup.env("REQUEST_TIMEOUT", "10").env("REQUEST_TIMEOUT_TOTAL", TOTAL.to_string());
            proxies.push(setup.start_proxy().await);
        }
        let mut places = Vec::new();
        for n in 0..size.slaves {
            let fault = FaultProxy::start(proxies[n % proxies.len()].link);
            let setup = Setup::slave(&format!("slave{n}"), fault.address).quick_pings();
            let setup = fixture.serve(setup.env("RECONNECT_MAX", "0.5"));
            let slave = setup.start_slave().await;
            places.push(Place { mortal: n > 0, setup, slave, fault });
        }
        let fleet = Self { seed, rounds: 0, proxies, places, fixture };
        fleet.quiet().await;
        fleet
    }

    /// Where clients connect.
    pub(super) fn clients_go_to(&self) -> Vec<SocketAddr> {
        self.proxies.iter().map(|proxy| proxy.http).collect()
    }

    /// Takes every fault away; what was black-holed cannot go on, so its connections are reset.
    pub(super) fn mend(&self) {
        for place in &self.places {
            place.fault.disarm();
            place.fault.refuse(false);
            place.fault.strike(Fault::Reset);
        }
    }

    /// Waits until no call is under way anywhere and every slave can take one.
    pub async fn quiet(&self) {
        for place in &self.places {
            wait::until("a slave at rest", async || {
                let scrape = Scrape::of(place.slave.http).await;
                let busy = scrape.sum("mcp_relay_slave_calls_in_flight", &[]);
                let links = scrape.sum("mcp_relay_slave_links", &[]);
                (busy < 0.5 && (links - 1.0).abs() < 0.5).then_some(())
            })
            .await;
        }
        for (at, proxy) in self.proxies.iter().enumerate() {
            let mine = (0..self.places.len()).filter(|n| n % self.proxies.len() == at).count();
            wait::until("a proxy at rest, with all its slaves", async || {
                let scrape = Scrape::of(proxy.http).await;
                let busy = scrape.sum("mcp_relay_calls_in_flight", &[]);
                let ready = scrape.sum("mcp_relay_slave_state", &["state=\"ready\""]);
                let late = scrape.sum("mcp_relay_slave_state", &["state=\"degraded\""]);
                let others = scrape.sum("mcp_relay_slave_state", &[]) - ready - late;
                let all = (ready + late - mine as f64).abs() < 0.5 && others.abs() < 0.5;
                (busy < 0.5 && all).then_some(())
            })
            .await;
        }
    }

    /// Process ids, for people who want to look.
    pub fn pids(&self) -> Vec<u32> {
        let proxies = self.proxies.iter().map(|proxy| proxy.pid());
        proxies.chain(self.places.iter().map(|place| place.slave.pid())).collect()
    }

    /// Processes that live through the whole run, by name.
    pub(super) fn long_lived(&self) -> Vec<(String, SocketAddr)> {
        let proxies = self.proxies.iter().enumerate().map(|(n, proxy)| (format!("proxy{n}"), proxy.http));
        let slaves = self.places.iter().enumerate().filter(|(_, place)| !place.mortal);
        proxies.chain(slaves.map(|(n, place)| (format!("slave{n}"), place.slave.http))).collect()
    }
}
