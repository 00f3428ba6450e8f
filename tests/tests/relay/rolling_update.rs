//! A rolling update: every proxy and every slave is replaced, one by one, while a thousand calls are in flight.
//!
//! The client acts as a load balancer: it uses in turn the replicas whose `/readyz` was ready at the last check (every
//! 100 ms), and retries a request at another replica only if the answer was 503 or the
//! connection was refused, that is, before the call began. Any other failure is an error.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use harness::balancer::Balancer;
use harness::client::{Client, McpRequest};
use harness::http;
use harness::relay::{Proxy, Setup, Slave, sleep_args};
use harness::wait;
use nix::sys::signal::Signal;
use tokio::task::JoinSet;

const KEY: &str = "the-key-that-all-replicas-have-in-common";

/// Calls in flight at any time.
const IN_FLIGHT: usize = 1000;

/// Longest time that a process may take to finish its calls and exit.
const EXIT_TIMEOUT: Duration = Duration::from_mins(2);

/// Replicas that the load balancer knows.
struct Replicas {
    all: Mutex<Vec<SocketAddr>>,
    ready: Mutex<Vec<SocketAddr>>,
    count: AtomicUsize,
    done: AtomicUsize,
    stop: AtomicBool,
}

impl Replicas {
    /// Runs on a thread of its own, so that a thousand clients do not delay the checks.
    fn probe_aside(self: Arc<Self>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::spawn(move || runtime.block_on(self.probe()));
    }

    async fn probe(self: Arc<Self>) {
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        while !self.stop.load(Ordering::Relaxed) {
            looks.tick().await;
            let all = self.all.lock().unwrap().clone();
            let states = join_all(all.iter().map(|one| http::try_status(*one, "/readyz"))).await;
            let ready = all.into_iter().zip(states).filter(|(_, state)| *state == Some(200));
            *self.ready.lock().unwrap() = ready.map(|(one, _)| one).collect();
        }
    }

    fn next(&self) -> Option<SocketAddr> {
        let ready = self.ready.lock().unwrap();
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        ready.get(count % ready.len().max(1)).copied()
    }

    /// Makes calls one after the other until it is stopped.
    async fn call(self: Arc<Self>, n: usize) {
        while !self.stop.load(Ordering::Relaxed) {
            self.one(n).await;
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes one call, retried while it is refused before it begins.
    async fn one(&self, n: usize) {
        // 1 to 2 s: well within the grace.
        let seconds = 1.0 + f64::from(u32::try_from(n % 100).unwrap()) / 100.0;
        let taken = async {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while !self.attempt(McpRequest::tool(n, "sleep", sleep_args(seconds, 1))).await {
                pace.tick().await;
            }
        };
        wait::within("a call to be taken", EXIT_TIMEOUT, taken).await;
    }

    async fn attempt(&self, ask: McpRequest) -> bool {
        let Some(replica) = self.next() else { return false };
        let Some(mut pending) = Client::modern(replica).try_start(ask).await else { return false };
        pending.exchange.head().await;
        if pending.exchange.status.as_u16() == 503 {
            return false;
        }
        pending.finish().await.result();
        true
    }
}

fn proxy() -> Setup {
    let setup = Setup::proxy().env("SESSION_KEY", KEY).env("READY_MIN_SLAVES", "1");
    setup.env("SHUTDOWN_DELAY", "3").env("SHUTDOWN_GRACE", "20")
}

async fn slave(name: &str, address: SocketAddr) -> Slave {
    let slave = Setup::slave(name, address).env("SHUTDOWN_GRACE", "20").start_slave().await;
    linked(&slave, 3).await;
    slave
}

async fn linked(slave: &Slave, links: u64) {
    wait::until(&format!("{links} links"), async || {
        let (_, body) = http::get(slave.http, "/readyz").await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        (body["links"] == links).then_some(())
    })
    .await;
}

/// Starts another proxy, waits until it has slaves, leads both balancers to it, and stops the old proxy.
async fn replace_proxy(proxies: &mut [Proxy], index: usize, replicas: &Replicas, links: &Balancer) {
    let next = proxy().start_proxy().await;
    // As a balancer with "least connections" does. With "round robin" the time until a slave finds the new proxy is random.
    links.retarget(vec![next.link]);
    next.offers("sleep").await;
    next.accepted(3).await;
    replicas.all.lock().unwrap().push(next.http);
    let mut old = std::mem::replace(&mut proxies[index], next);
    links.retarget(proxies.iter().map(|proxy| proxy.link).collect());
    old.signal(Signal::SIGTERM);
    assert_eq!(old.exit(EXIT_TIMEOUT).await.code(), Some(0));
    replicas.all.lock().unwrap().retain(|address| *address != old.http);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_fails_no_call() {
    let mut proxies = [proxy().start_proxy().await, proxy().start_proxy().await, proxy().start_proxy().await];
    let links = Balancer::start(proxies.iter().map(|proxy| proxy.link).collect()).await;
    let mut slaves = [
        slave("a1", links.address).await,
        slave("b1", links.address).await,
        slave("c1", links.address).await,
    ];
    let replicas = Arc::new(Replicas {
        all: Mutex::new(proxies.iter().map(|proxy| proxy.http).collect()),
        ready: Mutex::default(),
        count: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    });
    Arc::clone(&replicas).probe_aside();
    let mut callers = JoinSet::new();
    for n in 0..IN_FLIGHT {
        callers.spawn(Arc::clone(&replicas).call(n));
    }
    let some = async |more: usize| {
        let least = replicas.done.load(Ordering::Relaxed) + more;
        wait::until("calls to be done", async || {
            (replicas.done.load(Ordering::Relaxed) >= least).then_some(())
        })
        .await;
    };
    some(IN_FLIGHT).await;
    for (index, name) in ["a2", "b2", "c2"].into_iter().enumerate() {
        replace_proxy(&mut proxies, index, &replicas, &links).await;
        let next = slave(name, links.address).await;
        let mut old = std::mem::replace(&mut slaves[index], next);
        old.signal(Signal::SIGTERM);
        assert_eq!(old.exit(EXIT_TIMEOUT).await.code(), Some(0));
        some(IN_FLIGHT).await;
    }
    replicas.stop.store(true, Ordering::Relaxed);
    while let Some(caller) = callers.join_next().await {
        caller.expect("no caller sees an error");
    }
    assert!(replicas.done.load(Ordering::Relaxed) >= 4 * IN_FLIGHT);
}
