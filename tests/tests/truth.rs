//! Readiness under every fault: `/readyz` of both sides, `mcp_relay_slave_state` and a real call come to agree at the
//! default settings, and go on agreeing. A test binary of its own, since agreement is sensitive to other load.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::client::{Client, McpRequest};
use harness::fault::{Fault, FaultProxy};
use harness::fixture::{Fixture, run_args};
use harness::http::try_status;
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// Time limit for noticing a paused process or dropped packets: more than ten times what the default settings take.
const DETECTION: Duration = wait::TIMEOUT;

/// Span for which the sources must agree afterwards; shorter than the time until the next fault is noticed.
const STEADY: Duration = Duration::from_millis(1500);

/// Sources of the answer whether calls can be served: a real call (with a result, or `busy` from a slave at its limit),
/// `/readyz` of both sides, and the metric (a slave is ready or degraded).
const SOURCES: [&str; 4] = ["call", "proxy", "metric", "slave"];

/// The answer of each source.
type Readiness = [(&'static str, bool); 4];

fn readiness(values: [bool; 4]) -> Readiness {
    std::array::from_fn(|n| (SOURCES[n], values[n]))
}

struct Scene {
    fixture: Fixture,
    proxy: Proxy,
    fault: FaultProxy,
    slave: Slave,
}

impl Scene {
    async fn new(more: &[(&str, &str)]) -> Self {
        let fixture = Fixture::default();
        let proxy = Setup::proxy().env("READY_MIN_SLAVES", "1").env("QUEUE_MAX", "0").start_proxy().await;
        let fault = FaultProxy::start(proxy.link);
        let mut setup = fixture.serve(Setup::slave("one", fault.address).env("RECONNECT_MAX", "0.2"));
        for (key, value) in more {
            setup = setup.env(key, *value);
        }
        let slave = setup.start_slave().await;
        Self { fixture, proxy, fault, slave }
    }

    async fn observe(&self) -> Readiness {
        let scrape = Scrape::of(self.proxy.http);
        let (call, proxy, metric, slave) = tokio::join!(
            served(self.proxy.http),
            is_ready(self.proxy.http),
            scrape,
            is_ready(self.slave.http)
        );
        let in_state = |state: &str| metric.sum("mcp_relay_slave_state", &[&format!("state=\"{state}\"")]);
        readiness([call, proxy, in_state("ready") + in_state("degraded") > 0.5, slave])
    }

    /// Asserts that all sources come to give this answer, and then keep giving it.
    async fn all_report(&self, served: bool, what: &str) {
        let since = Instant::now();
        let want = readiness([served; 4]);
        let mut seen = self.observe().await;
        while seen != want {
            assert!(
                since.elapsed() <= DETECTION,
                "{what}: after {:?} {seen:?}, not {want:?}",
                since.elapsed()
            );
            seen = self.observe().await;
        }
        let steady = Instant::now();
        while steady.elapsed() < STEADY {
            assert_eq!(self.observe().await, want, "{what}: they agreed, and then no more");
        }
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    let status = tokio::time::timeout(Duration::from_secs(5), try_status(address, "/readyz")).await;
    status.ok().flatten() == Some(200)
}

/// Whether a real call is served within 5 s.
async fn served(proxy: SocketAddr) -> bool {
    let client = Client::modern(proxy);
    let call = client.call("run", run_args("synthetic", 0));
    let Ok(answer) = tokio::time::timeout(Duration::from_secs(5), call).await else { return false };
    answer.response().get("result").is_some() || answer.kind() == "busy"
}

#[tokio::test]
async fn they_agree_while_links_and_processes_fail_and_come_back() {
    let scene = Scene::new(&[]).await;
    scene.all_report(true, "a slave is linked").await;
    scene.slave.signal(Signal::SIGSTOP);
    scene.all_report(false, "the slave is paused").await;
    scene.slave.signal(Signal::SIGCONT);
    scene.all_report(true, "the slave goes on").await;
    scene.fault.refuse(true);
    scene.fault.strike(Fault::BlackHole);
    scene.all_report(false, "packets are dropped").await;
    scene.fault.refuse(false);
    scene.all_report(true, "packets pass").await;
    scene.fault.take_down();
    scene.all_report(false, "the link is reset and stays away, within the grace").await;
    scene.fault.refuse(false);
    scene.all_report(true, "the link is back").await;
    scene.slave.signal(Signal::SIGKILL);
    scene.all_report(false, "the slave is killed").await;
}

#[tokio::test]
async fn they_agree_while_backends_fail_and_come_back() {
    let fixture = Fixture::default();
    let mut entry = fixture.entry(&[]);
    let command = fixture.folder().join("server");
    let real = entry["command"].as_str().unwrap().to_owned();
    entry["command"] = command.to_str().unwrap().into();
    let backends = fixture.write_backends(&json!({ "fixture": entry }));
    let more = [("SLAVE_BACKENDS", backends.to_str().unwrap()), ("SLAVE_PROBE_INTERVAL", "0.4")];
    let scene = Scene::new(&more).await;
    scene.all_report(false, "the backend cannot be started: nothing is offered").await;
    scene.proxy.log.wait_for("Slave authenticated successfully").await;
    std::os::unix::fs::symlink(&real, &command).unwrap();
    // The pause between restarts has grown to up to 4 s.
    wait::until("the backend to start", async || served(scene.proxy.http).await.then_some(())).await;
    scene.all_report(true, "the backend runs").await;
    std::fs::remove_file(&command).unwrap();
    let last = |fixture: &Fixture| Pid::from_raw(*fixture.pids().last().unwrap());
    kill(last(&fixture), Signal::SIGKILL).unwrap();
    scene.all_report(false, "the backend is dead").await;
    std::os::unix::fs::symlink(&real, &command).unwrap();
    wait::until("the backend to start again", async || served(scene.proxy.http).await.then_some(())).await;
    scene.all_report(true, "the backend runs again").await;
    std::fs::remove_file(&command).unwrap();
    kill(last(&fixture), Signal::SIGSTOP).unwrap();
    scene.all_report(false, "the backend hangs: it is given up and cannot be started").await;
}

#[tokio::test]
async fn they_agree_while_a_slave_or_the_proxy_drains() {
    for side in ["slave", "proxy"] {
        let scene = Scene::new(&[]).await;
        scene.all_report(true, "a slave is linked").await;
        scene.fixture.open_gate("long", 0);
        let client = Client::modern(scene.proxy.http);
        let mut long = client.start(McpRequest::tool(1, "run", run_args("long", 1))).await;
        scene.fixture.wait_for("long", "start").await;
        if side == "slave" {
            scene.slave.signal(Signal::SIGTERM);
            scene.all_report(false, "the slave drains").await;
        } else {
            scene.proxy.signal(Signal::SIGTERM);
            let since = Instant::now();
            while is_ready(scene.proxy.http).await || served(scene.proxy.http).await {
                assert!(since.elapsed() <= DETECTION, "the proxy drains");
            }
        }
        scene.fixture.open_gate("long", 9);
        assert_eq!(long.finish().await.text(), "done long", "{side}: what runs is finished");
    }
}

#[tokio::test]
async fn a_slave_at_its_capacity_is_busy_and_not_degraded() {
    let scene = Scene::new(&[("SLAVE_CAPACITY", "1")]).await;
    scene.all_report(true, "a slave is linked").await;
    scene.fixture.open_gate("long", 0);
    let client = Client::modern(scene.proxy.http);
    let mut long = client.start(McpRequest::tool(1, "run", run_args("long", 1))).await;
    scene.fixture.wait_for("long", "start").await;
    scene.all_report(true, "the slave is at its capacity").await;
    scene.fixture.open_gate("long", 9);
    assert_eq!(long.finish().await.text(), "done long");
}

#[tokio::test]
async fn a_slave_whose_backend_takes_its_time_is_not_ready() {
    let fixture = Fixture::default();
    // The backend is silent, like a server that is still being downloaded.
    let backends = fixture.write_backends(&json!({ "slow": { "command": "sleep", "args": ["600"] } }));
    let scene = Scene::new(&[("SLAVE_BACKENDS", backends.to_str().unwrap())]).await;
    scene.proxy.log.wait_for("Slave authenticated successfully").await;
    scene.all_report(false, "the backend is starting").await;
}

#[tokio::test]
async fn a_backend_that_hangs_is_found_by_its_probes_and_restarted() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let setup = fixture.serve(Setup::slave("one", proxy.link).env("SLAVE_PROBE_INTERVAL", "0.3"));
    let slave = setup.start_slave().await;
    proxy.offers("run").await;
    let first = *fixture.pids().last().unwrap();
    kill(Pid::from_raw(first), Signal::SIGSTOP).unwrap();
    slave.log.wait_for("backend does not answer: it did not answer within").await;
    proxy.log.wait_for("Slave is degraded: it reports: backend \"fixture\": it did not answer").await;
    wait::until("another process", async || (*fixture.pids().last().unwrap() != first).then_some(())).await;
    proxy.log.wait_for("Slave is ready").await;
    wait::until("a call to be served", async || served(proxy.http).await.then_some(())).await;
    let probes = Scrape::of(slave.http).await;
    assert!(probes.sum("mcp_relay_slave_backend_probes_total", &["outcome=\"missed\""]) > 2.5);
    let degraded = Scrape::of(proxy.http).await.sum("mcp_relay_slave_state", &["state=\"degraded\""]);
    assert!(degraded < 0.5, "well again");
}
