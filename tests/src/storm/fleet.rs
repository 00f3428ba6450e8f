//! The processes of a storm: proxies, slaves with the counting backend, and a fault proxy on each link between them. Knows
//! no fault.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::TOTAL_TIMEOUT;
use crate::fault::{Fault, FaultProxy};
use crate::fixture::Fixture;
use crate::metrics::Scrape;
use crate::relay::{Proxy, Setup, Slave};
use crate::wait;

/// Number of processes.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Proxies, each of which takes clients.
    pub proxies: usize,
    /// Slaves, each linked to every proxy.
    pub slaves: usize,
}

/// The address of one proxy for clients, and whether the proxy runs.
#[derive(Clone, Debug)]
pub(super) struct ProxyAddress {
    pub(super) address: SocketAddr,
    /// Incremented before the proxy is killed and when it is back: odd while it is down.
    changes: Arc<AtomicU64>,
}

/// One proxy; after a kill it is restarted on the same ports.
pub(super) struct ProxyMember {
    /// Whether it may be killed; the first is not, so that its memory can be watched.
    pub(super) killable: bool,
    setup: Setup,
    pub(super) proxy: Proxy,
    address: ProxyAddress,
}

/// One slave and its links to the proxies.
pub(super) struct SlaveMember {
    /// Whether it may be killed; the first is not, so that its memory can be watched.
    pub(super) killable: bool,
    pub(super) setup: Setup,
    pub(super) slave: Slave,
    pub(super) links: Vec<FaultProxy>,
}

/// All processes of a storm.
pub struct Fleet {
    pub(super) seed: u64,
    pub(super) rounds: u64,
    pub(super) proxies: Vec<ProxyMember>,
    pub(super) slaves: Vec<SlaveMember>,
    /// The backend, which counts executions.
    pub fixture: Fixture,
}

impl Fleet {
    /// Starts all processes and waits until every slave offers its tool.
    pub async fn start(seed: u64, size: Size) -> Self {
        let fixture = Fixture::default();
        let mut proxies = Vec::new();
        for n in 0..size.proxies {
            proxies.push(ProxyMember::open(n > 0).await);
        }
        let mut slaves = Vec::new();
        for n in 0..size.slaves {
            let links: Vec<_> = proxies.iter().map(|member| FaultProxy::start(member.proxy.link)).collect();
            let urls: Vec<String> = links.iter().map(|link| format!("ws://{}", link.address)).collect();
            let setup = Setup::slave(&format!("slave{n}"), links[0].address).quick_pings();
            let setup = setup.env("PROXY_SERVER_URL", urls.join(",")).env("RECONNECT_MAX", "0.5");
            let setup = fixture.serve(setup);
            let slave = setup.start_slave().await;
            slaves.push(SlaveMember { killable: n > 0, setup, slave, links });
        }
        let fleet = Self { seed, rounds: 0, proxies, slaves, fixture };
        fleet.wait_until_idle().await;
        fleet
    }

    /// Addresses of all proxies.
    pub(super) fn proxies(&self) -> Vec<ProxyAddress> {
        self.proxies.iter().map(|member| member.address.clone()).collect()
    }

    /// Removes every fault. Connections are reset, since bytes that were black-holed are lost.
    pub(super) fn repair(&self) {
        for link in self.slaves.iter().flat_map(|member| &member.links) {
            link.disarm();
            link.refuse(false);
            link.strike(Fault::Reset);
        }
    }

    /// Waits until no call is in flight anywhere and every slave can take one.
    pub async fn wait_until_idle(&self) {
        for member in &self.slaves {
            wait::until("an idle slave", async || {
                let scrape = Scrape::of(member.slave.http).await;
                let busy = scrape.sum("mcp_relay_slave_calls_in_flight", &[]);
                let links = scrape.sum("mcp_relay_slave_links", &[]);
                (busy < 0.5 && (links - self.proxies.len() as f64).abs() < 0.5).then_some(())
            })
            .await;
        }
        for member in &self.proxies {
            wait::until("an idle proxy with all slaves", async || {
                let scrape = Scrape::of(member.proxy.http).await;
                let busy = scrape.sum("mcp_relay_calls_in_flight", &[]);
                let ready = scrape.sum("mcp_relay_slave_state", &["state=\"ready\""]);
                let late = scrape.sum("mcp_relay_slave_state", &["state=\"degraded\""]);
                let others = scrape.sum("mcp_relay_slave_state", &[]) - ready - late;
                let all = (ready + late - self.slaves.len() as f64).abs() < 0.5 && others.abs() < 0.5;
                (busy < 0.5 && all).then_some(())
            })
            .await;
        }
    }

    /// Process ids, for the log.
    pub fn pids(&self) -> Vec<u32> {
        let proxies = self.proxies.iter().map(|member| member.proxy.pid());
        proxies.chain(self.slaves.iter().map(|member| member.slave.pid())).collect()
    }

    /// Processes that live through the whole run, by name.
    pub(super) fn long_lived(&self) -> Vec<(String, SocketAddr)> {
        let proxies = self.proxies.iter().enumerate().filter(|(_, member)| !member.killable);
        let proxies = proxies.map(|(n, member)| (format!("proxy{n}"), member.proxy.http));
        let slaves = self.slaves.iter().enumerate().filter(|(_, member)| !member.killable);
        proxies.chain(slaves.map(|(n, member)| (format!("slave{n}"), member.slave.http))).collect()
    }
}

impl ProxyAddress {
    /// A number that changes when the proxy is killed or restarted.
    pub(super) fn generation(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Whether the proxy was killed since it had this generation, or was down then.
    pub(super) fn was_killed_since(&self, generation: u64) -> bool {
        !generation.is_multiple_of(2) || self.generation() != generation
    }
}

impl ProxyMember {
    async fn open(killable: bool) -> Self {
        let setup = Setup::proxy().quick_pings().env("LINK_GRACE", "4").env("SESSION_KEY", "k".repeat(40));
        let setup =
            setup.env("REQUEST_TIMEOUT", "10").env("REQUEST_TIMEOUT_TOTAL", TOTAL_TIMEOUT.to_string());
        let proxy = setup.start_proxy().await;
        let setup = setup.env("MCP_SERVER_PORT", proxy.http.port().to_string());
        let setup = setup.env("PROXY_WS_PORT", proxy.link.port().to_string());
        let address = ProxyAddress { address: proxy.http, changes: Arc::default() };
        Self { killable, setup, proxy, address }
    }

    /// Kills the proxy; its clients get no answer.
    pub(super) fn kill(&self) {
        self.address.changes.fetch_add(1, Ordering::SeqCst);
        self.proxy.signal(Signal::SIGKILL);
    }

    /// Starts the proxy again after [`Self::kill`].
    pub(super) async fn restart(&mut self) {
        let _ = self.proxy.exit(Duration::from_secs(30)).await;
        self.proxy = self.setup.start_proxy().await;
        self.address.changes.fetch_add(1, Ordering::SeqCst);
    }
}
