//! The file is read again when it changes and at SIGHUP; an invalid file changes nothing and is reported.

use harness::metrics::Scrape;
use harness::relay::Setup;
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{Fleet, reaches, review};

fn to(region: &str) -> String {
    format!("rules:\n  - name: all\n    to: {{ region: {region} }}\n")
}

#[tokio::test]
async fn a_changed_file_is_used_and_an_invalid_one_is_not() {
    let mut fleet = Fleet::with(Some(&to("east"))).await;
    fleet.add("east", "region=east").await;
    fleet.add("west", "region=west").await;
    let client = fleet.client();
    let any = json!({ "mrUrlOrId": "7" });
    reaches(&client, any.clone(), &["east"]).await;
    fleet.rewrite(&to("west"));
    wait::until("calls to go by the new file", async || {
        (review(&client, &any).await == "west").then_some(())
    })
    .await;
    fleet.rewrite("rules:\n  - name: all\n    two: { region: east }\n");
    let line = fleet.proxy.log.wait_for("the routes of before stay").await;
    for words in ["line 3", "unknown key \\\"two\\\"", "lacks \\\"to\\\""] {
        assert!(line.contains(words) || line.contains(&words.replace('\\', "")), "{words} in {line}");
    }
    reaches(&client, any.clone(), &["west"]).await;
    let metrics = Scrape::of(fleet.proxy.http).await;
    let reloads = |outcome| metrics.sum("mcp_relay_config_reloads_total", &["file=\"routes\"", outcome]);
    assert!((reloads("outcome=\"ok\"") - 1.0).abs() < f64::EPSILON);
    assert!((reloads("outcome=\"failed\"") - 1.0).abs() < f64::EPSILON);
    assert!(metrics.sum("mcp_relay_config_last_load_timestamp_seconds", &["file=\"routes\""]) > 1e9);
    // At SIGHUP the file is read even if it is unchanged, so that the reason is logged again.
    let before = fleet.proxy.log.count("the routes of before stay");
    fleet.proxy.signal(Signal::SIGHUP);
    wait::until("the reason again", async || {
        (fleet.proxy.log.count("the routes of before stay") > before).then_some(())
    })
    .await;
    fleet.rewrite(&to("east"));
    wait::until("calls to go by the corrected file", async || {
        (review(&client, &any).await == "east").then_some(())
    })
    .await;
    // A missing file is treated as an invalid one.
    std::fs::remove_file(fleet.file()).unwrap();
    wait::until("the loss to be told", async || {
        fleet.proxy.log.text().contains("cannot be read").then_some(())
    })
    .await;
    reaches(&client, any, &["east"]).await;
}

#[tokio::test]
async fn an_invalid_file_at_start_is_reported_with_every_fault_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.yaml");
    std::fs::write(&path, "rules:\n  - name: a\n    to: [7]\n  - name: a\nmore: 1\n").unwrap();
    let mut process = Setup::proxy().env("ROUTES", path.to_str().unwrap()).env("PROXY_WS_PORT", "x").spawn();
    let status = process.exit(harness::wait::TIMEOUT).await;
    assert_eq!(status.code(), Some(64));
    for words in [
        "PROXY_WS_PORT = \"x\"",
        "routes.yaml\", line 3 rules[0].to[0] = 7: expected the labels",
        "line 4 rules[1].name = \"a\": expected another name",
        "line 5 has the unknown key \"more\"",
    ] {
        process.log.wait_for(words).await;
    }
}
