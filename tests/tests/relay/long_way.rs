//! A slave that is far from its proxy: large messages take the time of their bytes, not of a round trip for each window.

use std::time::{Duration, Instant};

use harness::client::Client;
use harness::delay::Delay;
use harness::metrics::Scrape;
use harness::relay::Setup;
use harness::wait;
use serde_json::json;

const ONE_WAY: Duration = Duration::from_millis(150);

/// First window of a call, in bytes.
const WINDOW: u32 = 128 * 1024;

const RESULT: usize = 3_000_000;

#[tokio::test]
async fn a_large_result_takes_fewer_round_trips_than_it_has_windows() {
    let proxy = Setup::proxy().quick_pings().start_proxy().await;
    let way = Delay::start(proxy.link, ONE_WAY).unwrap();
    let _slave = Setup::slave("far", way.address).env("LINK_PING_TIMEOUT_MS", "20000").start_slave().await;
    proxy.offers("payload").await;
    wait::until("a measured round trip", async || {
        let trip = Scrape::of(proxy.http).await.sum("mcp_relay_link_round_trip_seconds", &[]);
        (trip >= (ONE_WAY * 2).as_secs_f64()).then_some(())
    })
    .await;
    let client = Client::modern(proxy.http);
    let since = Instant::now();
    let answer = client.call("payload", json!({ "bytes": RESULT })).await;
    let taken = since.elapsed();
    assert!(answer.text().len() >= RESULT);
    let windows = u32::try_from(RESULT).unwrap() / WINDOW;
    assert!(taken < ONE_WAY * 2 * windows * 2 / 3, "{taken:?} for {windows} windows of one round trip each");
}
