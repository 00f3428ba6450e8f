//! Subscriptions: a modern client's `subscriptions/listen` and a legacy client's GET stream, through proxies and slaves that come and go.

mod legacy;
mod modern;

use harness::client::Client;
use harness::fixture::Fixture;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use serde_json::json;

/// A slave whose only backend has resources and speaks this era.
async fn slave(name: &str, setup: Setup, fixture: &Fixture, era: &str) -> Slave {
    let setup = setup.env("SLAVE_NAME", name);
    fixture.serve_with(setup, &[("FIXTURE_RESOURCES", "1"), ("FIXTURE_ERA", era)]).start_slave().await
}

async fn proxy_and_slave(fixture: &Fixture, era: &str) -> (Proxy, Slave) {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = slave("one", Setup::slave("one", proxy.link), fixture, era).await;
    proxy.offers("touch").await;
    (proxy, slave)
}

/// Updates a resource of the backend.
async fn touch(client: &Client, uri: &str) {
    client.call("touch", json!({ "uri": uri })).await.result();
}

/// Waits until the backends have written this line so often.
async fn noted(fixture: &Fixture, line: &str, times: usize) {
    wait::until(&format!("{line:?} {times} times"), async || {
        (fixture.log("process").iter().filter(|noted| *noted == line).count() >= times).then_some(())
    })
    .await;
}
