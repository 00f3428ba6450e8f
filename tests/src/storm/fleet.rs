//! The processes of a storm: proxies, slaves with the counting backend, and a cutting proxy on each way between them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

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
    /// Each is linked to every proxy.
    pub slaves: usize,
}

/// Where clients reach one proxy, and whether it is there.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    /// Grows by one before the proxy is killed and by one when it is back: odd while it is not there.
    changes: Arc<AtomicU64>,
}

/// One proxy. Killed, it comes back on the same ports.
pub(super) struct Gate {
    /// Whether it may be killed; the first is not, so that its memory can be watched.
    pub(super) mortal: bool,
    setup: Setup,
    pub(super) proxy: Proxy,
    door: Door,
}

/// One slave and its ways to the proxies.
pub(super) struct Place {
    /// Whether it may be killed; the first is not, so that its memory can be watched.
    pub(super) mortal: bool,
    pub(super) setup: Setup,
    pub(super) slave: Slave,
    pub(super) ways: Vec<FaultProxy>,
}

/// Everything that runs.
pub struct Fleet {
    pub(super) seed: u64,
    pub(super) rounds: u64,
    pub(super) gates: Vec<Gate>,
    pub(super) places: Vec<Place>,
    /// Where executions are counted.
    pub fixture: Fixture,
}

impl Fleet {
    /// Starts all processes and waits until every slave offers its tool.
    pub async fn start(seed: u64, size: Size) -> Self {
        let fixture = Fixture::default();
        let mut gates = Vec::new();
        for n in 0..size.proxies {
            gates.push(Gate::open(n > 0).await);
        }
        let mut places = Vec::new();
        for n in 0..size.slaves {
            let ways: Vec<_> = gates.iter().map(|gate| FaultProxy::start(gate.proxy.link)).collect();
            let urls: Vec<String> = ways.iter().map(|way| format!("ws://{}", way.address)).collect();
            let setup = Setup::slave(&format!("slave{n}"), ways[0].address).quick_pings();
            let setup = setup.env("PROXY_SERVER_URL", urls.join(",")).env("RECONNECT_MAX", "0.5");
            let setup = fixture.serve(setup);
            let slave = setup.start_slave().await;
            places.push(Place { mortal: n > 0, setup, slave, ways });
        }
        let fleet = Self { seed, rounds: 0, gates, places, fixture };
        fleet.quiet().await;
        fleet
    }

    /// Where clients connect.
    pub(super) fn doors(&self) -> Vec<Door> {
        self.gates.iter().map(|gate| gate.door.clone()).collect()
    }

    /// Takes every fault away; what was black-holed cannot go on, so its connections are reset.
    pub(super) fn mend(&self) {
        for way in self.places.iter().flat_map(|place| &place.ways) {
            way.disarm();
            way.refuse(false);
            way.strike(Fault::Reset);
        }
    }

    /// Waits until no call is under way anywhere and every slave can take one.
    pub async fn quiet(&self) {
        for place in &self.places {
            wait::until("a slave at rest", async || {
                let scrape = Scrape::of(place.slave.http).await;
                let busy = scrape.sum("mcp_relay_slave_calls_in_flight", &[]);
                let links = scrape.sum("mcp_relay_slave_links", &[]);
                (busy < 0.5 && (links - self.gates.len() as f64).abs() < 0.5).then_some(())
            })
            .await;
        }
        for gate in &self.gates {
            wait::until("a proxy at rest, with all slaves", async || {
                let scrape = Scrape::of(gate.proxy.http).await;
                let busy = scrape.sum("mcp_relay_calls_in_flight", &[]);
                let ready = scrape.sum("mcp_relay_slave_state", &["state=\"ready\""]);
                let late = scrape.sum("mcp_relay_slave_state", &["state=\"degraded\""]);
                let others = scrape.sum("mcp_relay_slave_state", &[]) - ready - late;
                let all = (ready + late - self.places.len() as f64).abs() < 0.5 && others.abs() < 0.5;
                (busy < 0.5 && all).then_some(())
            })
            .await;
        }
    }

    /// Process ids, for people who want to look.
    pub fn pids(&self) -> Vec<u32> {
        let proxies = self.gates.iter().map(|gate| gate.proxy.pid());
        proxies.chain(self.places.iter().map(|place| place.slave.pid())).collect()
    }

    /// Processes that live through the whole run, by name.
    pub(super) fn long_lived(&self) -> Vec<(String, SocketAddr)> {
        let proxies = self.gates.iter().enumerate().filter(|(_, gate)| !gate.mortal);
        let proxies = proxies.map(|(n, gate)| (format!("proxy{n}"), gate.proxy.http));
        let slaves = self.places.iter().enumerate().filter(|(_, place)| !place.mortal);
        proxies.chain(slaves.map(|(n, place)| (format!("slave{n}"), place.slave.http))).collect()
    }
}

impl Door {
    /// A number that stays the same as long as the proxy is there.
    pub(super) fn state(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Whether the proxy was killed since the state was this, or was not there then.
    pub(super) fn was_shut(&self, since: u64) -> bool {
        !since.is_multiple_of(2) || self.state() != since
    }
}

impl Gate {
    async fn open(mortal: bool) -> Self {
        let setup = Setup::proxy().quick_pings().env("LINK_GRACE", "4").env("SESSION_KEY", "k".repeat(40));
        let setup = setup.env("REQUEST_TIMEOUT", "10").env("REQUEST_TIMEOUT_TOTAL", TOTAL.to_string());
        let proxy = setup.start_proxy().await;
        let setup = setup.env("MCP_SERVER_PORT", proxy.http.port().to_string());
        let setup = setup.env("PROXY_WS_PORT", proxy.link.port().to_string());
        let door = Door { address: proxy.http, changes: Arc::default() };
        Self { mortal, setup, proxy, door }
    }

    /// Kills the proxy: whoever waits for an answer of it gets none.
    pub(super) fn shut(&self) {
        self.door.changes.fetch_add(1, Ordering::SeqCst);
        self.proxy.signal(Signal::SIGKILL);
    }

    /// Starts it again after [`Self::shut`].
    pub(super) async fn reopen(&mut self) {
        let _ = self.proxy.exit(Duration::from_secs(30)).await;
        self.proxy = self.setup.start_proxy().await;
        self.door.changes.fetch_add(1, Ordering::SeqCst);
    }
}
