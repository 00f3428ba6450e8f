//! Weights shift load; sticky clients stay with their slave while it is connected.

use std::collections::BTreeMap;

use harness::client::Client;
use harness::fixture::{Fixture, run_args};
use harness::http;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;

struct Fleet {
    proxy: Proxy,
    slaves: Vec<(Slave, Fixture)>,
    _folder: tempfile::TempDir,
}

/// A proxy with this file, and slaves with these variables, all of which share its calls.
async fn fleet(routes: &str, slaves: &[(&str, &str, &str)]) -> Fleet {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.yaml");
    std::fs::write(&path, routes).unwrap();
    let proxy = Setup::proxy().env("ROUTES", path.to_str().unwrap()).start_proxy().await;
    let mut running = Vec::new();
    for (name, variable, value) in slaves {
        let fixture = Fixture::default();
        let setup = fixture.serve(Setup::slave(name, proxy.link)).env(variable, *value);
        running.push((setup.start_slave().await, fixture));
    }
    proxy.offers("run").await;
    wait::until("every slave in the pool", async || {
        let (_, status) = http::get(proxy.http, "/api/v1/status").await;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let tools = status["tools"]["list"].as_array().unwrap();
        tools.iter().any(|tool| tool["name"] == "run" && tool["slaves"] == slaves.len()).then_some(())
    })
    .await;
    Fleet { proxy, slaves: running, _folder: folder }
}

impl Fleet {
    /// Makes calls one after the other, with keys of this prefix, and returns the number of calls of each slave.
    async fn calls(&self, client: &Client, prefix: &str, calls: usize) -> Vec<usize> {
        for n in 0..calls {
            client.call("run", run_args(&format!("{prefix}{n}"), 0)).await.result();
        }
        let had = |fixture: &Fixture| {
            (0..calls).filter(|n| !fixture.log(&format!("{prefix}{n}")).is_empty()).count()
        };
        self.slaves.iter().map(|(_, fixture)| had(fixture)).collect()
    }
}

#[tokio::test]
async fn heavier_slaves_get_more_calls() {
    let slaves = [("one", "SLAVE_WEIGHT", "100"), ("two", "SLAVE_WEIGHT", "900")];
    let fleet = fleet("pools: []", &slaves).await;
    let client = Client::modern(fleet.proxy.http);
    wait::until("both in the pool", async || (fleet.calls(&client, "probe", 10).await[0] > 0).then_some(()))
        .await;
    let had = fleet.calls(&client, "w", 150).await;
    // 15 of 150 on average for the first; four standard deviations are 15.
    assert!(had[0] <= 32 && had[0] + had[1] == 150, "{had:?}");
}

#[tokio::test]
async fn the_operator_s_weights_count_more_than_the_slaves_own() {
    let slaves = [("one", "SLAVE_LABELS", "zone=far"), ("two", "SLAVE_LABELS", "zone=near")];
    let routes = "pools: [{ tool: run, weights: [{ to: { zone: far }, weight: 900 }] }]";
    let fleet = fleet(routes, &slaves).await;
    let client = Client::modern(fleet.proxy.http);
    wait::until("both in the pool", async || (fleet.calls(&client, "probe", 10).await[1] > 0).then_some(()))
        .await;
    let had = fleet.calls(&client, "w", 150).await;
    assert!(had[1] <= 32 && had[0] + had[1] == 150, "{had:?}");
}

#[tokio::test]
async fn a_sticky_client_stays_and_moves_only_when_its_slave_is_lost() {
    let names = [("one", "DEMO_TOOLS", "0"), ("two", "DEMO_TOOLS", "0"), ("three", "DEMO_TOOLS", "0")];
    let mut fleet = fleet("pools: [{ tool: r*, sticky: client }]", &names).await;
    let mut homes = BTreeMap::new();
    for n in 0..12 {
        // Without keys, sessions identify clients.
        let client = Client::legacy(fleet.proxy.http).await;
        let had = fleet.calls(&client, &format!("s{n}-"), 4).await;
        let home =
            had.iter().position(|calls| *calls == 4).unwrap_or_else(|| panic!("one slave only: {had:?}"));
        homes.entry(home).or_insert_with(Vec::new).push(client);
    }
    assert!(homes.len() > 1, "twelve clients are not all of one slave");
    let (lost, movers) = homes.pop_first().unwrap();
    let (stay, stayers) = homes.pop_first().unwrap();
    drop(fleet.slaves.remove(lost).0);
    fleet.proxy.log.wait_for("Active slave disconnected").await;
    let had = fleet.calls(&movers[0], "m", 4).await;
    assert_eq!(
        (had.iter().max(), had.iter().sum::<usize>()),
        (Some(&4), 4),
        "another one, and again only one"
    );
    // The later slaves moved up in the shorter list.
    let had = fleet.calls(&stayers[0], "t", 4).await;
    assert_eq!(had[stay - usize::from(stay > lost)], 4, "{had:?}");
}
