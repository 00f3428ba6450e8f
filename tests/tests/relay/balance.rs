//! Load balancing: queues in front of full slaves, weights, stickiness, rate limits.

mod limits;
mod queue;
mod shares;

use harness::fixture::{Fixture, run_args};
use harness::relay::{Proxy, Setup, Slave};

/// A proxy, and one slave of capacity 1 whose tool `run` goes as far as its gates.
async fn narrow(proxy: Setup) -> (Proxy, Slave, Fixture) {
    let proxy = proxy.start_proxy().await;
    let fixture = Fixture::default();
    let slave = fixture.serve(Setup::slave("one", proxy.link).env("SLAVE_CAPACITY", "1")).start_slave().await;
    proxy.offers("run").await;
    (proxy, slave, fixture)
}

/// Waits until `count` calls are queued.
async fn waiting(proxy: &Proxy, calls: u32) {
    harness::wait::until(&format!("{calls} waiting calls"), async || {
        let scrape = harness::metrics::Scrape::of(proxy.http).await;
        let length = scrape.sum("mcp_relay_queue_length", &[]);
        ((length - f64::from(calls)).abs() < 0.5).then_some(())
    })
    .await;
}

/// Arguments of `run` under this key, held at its start until its gate is opened.
fn gated(fixture: &Fixture, key: &str) -> serde_json::Value {
    fixture.open_gate(key, 0);
    run_args(key, 0)
}
