//! Links that break at every phase of a call, with every fault: nothing is lost, sent twice or run twice.

use harness::client::{Client, McpRequest};
use harness::fault::{Fault, FaultProxy, Side, Towards, Trap};
use harness::fixture::{Fixture, run_args};
use harness::frames::FrameKind;
use harness::relay::{Proxy, Setup, Slave};
use harness::{http, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One proxy, slaves that dial it through one fault proxy, one backend's log.
struct Scene {
    proxy: Proxy,
    fault: FaultProxy,
    fixture: Fixture,
    _slaves: Vec<Slave>,
}

/// Shorter ping intervals for faults that only pings detect, so that the tests end sooner.
fn pings(setup: Setup, fault: Fault) -> Setup {
    if matches!(fault, Fault::Stall | Fault::BlackHole) { setup.quick_pings() } else { setup }
}

async fn scene(slaves: &[&str], fault_to_come: Fault) -> Scene {
    let fixture = Fixture::default();
    let proxy = pings(Setup::proxy(), fault_to_come).start_proxy().await;
    let fault = FaultProxy::start(proxy.link);
    let mut running = Vec::new();
    for name in slaves {
        let setup = pings(Setup::slave(name, fault.address).env("RECONNECT_MAX", "0.2"), fault_to_come);
        running.push(fixture.serve(setup).start_slave().await);
    }
    proxy.accepted(slaves.len()).await;
    proxy.offers("run").await;
    Scene { proxy, fault, fixture, _slaves: running }
}

/// Frames of a call with three steps, and the side of the frame on which the link breaks. The last member says whether the
/// frame is certain to be sent; acknowledgements may be combined.
const PHASES: [(Towards, FrameKind, usize, Side, bool); 12] = [
    (Towards::Slave, FrameKind::Open, 0, Side::Before, true),
    (Towards::Slave, FrameKind::Open, 0, Side::After, true),
    (Towards::Proxy, FrameKind::Accepted, 0, Side::Before, false),
    (Towards::Proxy, FrameKind::Accepted, 0, Side::After, false),
    (Towards::Proxy, FrameKind::Event, 0, Side::Before, true),
    (Towards::Proxy, FrameKind::Event, 0, Side::After, true),
    (Towards::Proxy, FrameKind::Event, 1, Side::After, true),
    (Towards::Proxy, FrameKind::Event, 2, Side::After, true),
    (Towards::Proxy, FrameKind::End, 0, Side::Before, true),
    (Towards::Proxy, FrameKind::End, 0, Side::After, true),
    (Towards::Slave, FrameKind::Credit, 0, Side::Before, false),
    (Towards::Slave, FrameKind::Credit, 0, Side::After, false),
];

async fn check_all_phases(slaves: &[&str], fault: Fault) {
    let scene = scene(slaves, fault).await;
    check_phases(&Client::modern(scene.proxy.http), &scene, slaves.len(), fault).await;
}

async fn check_phases(client: &Client, scene: &Scene, slaves: usize, fault: Fault) {
    let mut links = slaves;
    for (index, (towards, kind, skip, side, must)) in PHASES.into_iter().enumerate() {
        let key = format!("phase-{index}");
        let phase = format!("{fault:?} {side:?} {} {skip} towards {towards:?}", kind.name());
        scene.fault.arm(Trap { towards, kind, skip, side, fault });
        let answer = client.request(McpRequest::tool(index, "run", run_args(&key, 3)).progress(index)).await;
        assert_eq!(answer.progress(), [1.0, 2.0, 3.0], "{phase}: {:?}", answer.messages);
        assert_eq!(answer.text(), format!("done {key}"), "{phase}");
        assert_eq!(scene.fixture.log(&key), ["start", "end"], "{phase}: run exactly once");
        let waiting = scene.fault.disarm();
        assert!(!(waiting && must), "{phase}: no such frame was sent");
        if !waiting {
            links += 1;
            scene.proxy.accepted(links).await;
            scene.proxy.offers("run").await;
        }
    }
}

#[tokio::test]
async fn a_reset_at_any_phase_loses_and_doubles_nothing() {
    check_all_phases(&["one"], Fault::Reset).await;
}

#[tokio::test]
async fn a_legacy_client_s_call_survives_a_reset_at_any_phase() {
    let scene = scene(&["one"], Fault::Reset).await;
    let client = Client::legacy(scene.proxy.http).await;
    check_phases(&client, &scene, 1, Fault::Reset).await;
}

#[tokio::test]
async fn a_half_close_towards_the_slave_at_any_phase_loses_and_doubles_nothing() {
    check_all_phases(&["one"], Fault::HalfClose(Towards::Slave)).await;
}

#[tokio::test]
async fn a_half_close_towards_the_proxy_at_any_phase_loses_and_doubles_nothing() {
    check_all_phases(&["one"], Fault::HalfClose(Towards::Proxy)).await;
}

#[tokio::test]
async fn a_black_hole_at_any_phase_loses_and_doubles_nothing() {
    check_all_phases(&["one"], Fault::BlackHole).await;
}

#[tokio::test]
async fn a_stall_at_any_phase_loses_and_doubles_nothing() {
    check_all_phases(&["one"], Fault::Stall).await;
}

#[tokio::test]
async fn with_two_slaves_a_reset_runs_no_call_on_both() {
    check_all_phases(&["one", "two"], Fault::Reset).await;
}

#[tokio::test]
async fn with_two_slaves_a_black_hole_runs_no_call_on_both() {
    check_all_phases(&["one", "two"], Fault::BlackHole).await;
}

#[tokio::test]
async fn with_two_slaves_a_half_close_runs_no_call_on_both() {
    check_all_phases(&["one", "two"], Fault::HalfClose(Towards::Slave)).await;
}

#[tokio::test]
async fn with_two_slaves_a_stall_runs_no_call_on_both() {
    check_all_phases(&["one", "two"], Fault::Stall).await;
}

#[tokio::test]
async fn an_idle_link_that_breaks_is_replaced_whatever_the_fault() {
    let scene = scene(&["one"], Fault::Stall).await;
    let faults = [
        Fault::Reset,
        Fault::HalfClose(Towards::Slave),
        Fault::HalfClose(Towards::Proxy),
        Fault::Stall,
        Fault::BlackHole,
    ];
    for (index, fault) in faults.into_iter().enumerate() {
        scene.fault.strike(fault);
        scene.proxy.accepted(index + 2).await;
        scene.proxy.offers("run").await;
        let key = format!("{index}");
        let answer = Client::modern(scene.proxy.http).call("run", run_args(&key, 0)).await;
        assert_eq!(answer.text(), format!("done {key}"), "after {fault:?}");
        assert_eq!(scene.fixture.log(&key), ["start", "end"]);
    }
}

#[tokio::test]
async fn many_calls_of_one_link_all_survive_its_reset() {
    let scene = scene(&["one"], Fault::Reset).await;
    let client = Client::modern(scene.proxy.http);
    let keys: Vec<String> = (0..20).map(|n| format!("k{n}")).collect();
    let mut pending = Vec::new();
    for key in &keys {
        scene.fixture.open_gate(key, 2);
        let mut call = client.start(McpRequest::tool(1, "run", run_args(key, 6)).progress(1)).await;
        call.next().await.expect("progress");
        pending.push(call);
    }
    for round in 0..3 {
        scene.fault.strike(Fault::Reset);
        scene.proxy.accepted(round + 2).await;
        for key in &keys {
            scene.fixture.open_gate(key, 3 + round as u64);
        }
    }
    for (key, call) in keys.iter().zip(&mut pending) {
        scene.fixture.open_gate(key, 9);
        let answer = call.finish().await;
        assert_eq!(answer.progress(), [2.0, 3.0, 4.0, 5.0, 6.0], "{key}");
        assert_eq!(answer.text(), format!("done {key}"));
        assert_eq!(scene.fixture.log(key), ["start", "end"]);
    }
}

#[tokio::test]
async fn a_large_result_is_whole_after_resets_in_its_middle() {
    let scene = scene(&["one"], Fault::Reset).await;
    let client = Client::modern(scene.proxy.http);
    for skip in [1, 7, 30] {
        let kind = FrameKind::End;
        scene.fault.arm(Trap { towards: Towards::Proxy, kind, skip, side: Side::After, fault: Fault::Reset });
        let answer = client.call("big", serde_json::json!({ "bytes": 3_000_000 })).await;
        assert_eq!(answer.text().len(), 3_000_000);
        assert!(!scene.fault.disarm(), "a result of 3 MB has more than {skip} chunks");
        assert!(answer.text().bytes().all(|b| b == b'x'));
    }
}

#[tokio::test]
async fn a_large_argument_is_whole_after_resets_in_its_middle() {
    let scene = scene(&["one"], Fault::Reset).await;
    let client = Client::modern(scene.proxy.http);
    for skip in [1, 7, 30] {
        let kind = FrameKind::Open;
        scene.fault.arm(Trap { towards: Towards::Slave, kind, skip, side: Side::After, fault: Fault::Reset });
        let text = format!("{skip}{}", "y".repeat(3_000_000));
        let answer = client.call("arguments", serde_json::json!({ "text": text })).await;
        let params: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!(params["arguments"]["text"].as_str().map(str::len), Some(text.len()));
        assert!(!scene.fault.disarm(), "an argument of 3 MB has more than {skip} chunks");
    }
}

/// Faults strike again and again, as soon as both links are back, while clients keep calling.
#[tokio::test]
async fn a_storm_of_faults_loses_and_doubles_nothing() {
    let scene = scene(&["one", "two"], Fault::Stall).await;
    let over = std::sync::atomic::AtomicBool::new(false);
    let caller = async |caller: usize| {
        let client = Client::modern(scene.proxy.http);
        let mut calls = 0;
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            let key = format!("storm-{caller}-{calls}");
            let answer = client.request(McpRequest::tool(1, "run", run_args(&key, 5)).progress(1)).await;
            // Between two faults there may be no link at all; such a call has not run.
            if answer.response().get("error").is_some() {
                assert!(["no_slave", "no_slave_for_tool"].contains(&answer.kind()), "{answer:?}");
                assert_eq!(scene.fixture.log(&key).len(), 0);
                scene.proxy.offers("run").await;
            } else {
                assert_eq!(answer.progress(), [1.0, 2.0, 3.0, 4.0, 5.0], "{key}");
                assert_eq!(scene.fixture.log(&key), ["start", "end"], "{key}");
            }
            calls += 1;
        }
        calls
    };
    let storm = async {
        let half = [Fault::HalfClose(Towards::Slave), Fault::HalfClose(Towards::Proxy)];
        let kinds = [
            Fault::Reset,
            half[0],
            Fault::Reset,
            half[1],
            Fault::Reset,
            Fault::BlackHole,
            Fault::Reset,
            Fault::Stall,
        ];
        for (round, fault) in kinds.into_iter().cycle().take(24).enumerate() {
            scene.proxy.accepted(2 * (round + 1)).await;
            scene.proxy.offers("run").await;
            scene.fault.strike(fault);
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let callers = futures_util::future::join_all((0..6).map(caller));
    let ((), calls) = tokio::join!(storm, callers);
    assert!(calls.iter().sum::<usize>() > 24, "{calls:?}");
}

/// Connections that the link port lets in before they have authenticated (docs/PROTOCOL.md), in all and from one address.
const MAX_UNAUTHENTICATED: usize = 1024;
const MAX_FROM_ONE_ADDRESS: usize = MAX_UNAUTHENTICATED / 8;

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: proxy\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn first_line(source: u8, proxy: std::net::SocketAddr) -> String {
    let mut stream = http::connect_from([127, 0, 0, source].into(), proxy).await.unwrap();
    // A connection that is refused may be closed already.
    let _ = stream.write_all(UPGRADE).await;
    let mut answer = [0; 12];
    let answered = stream.read_exact(&mut answer);
    wait::within("an answer to an upgrade", wait::TIMEOUT, answered).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn connections_beyond_1024_unauthenticated_ones_and_beyond_an_eighth_of_an_address_are_refused() {
    let proxy = Setup::proxy().env("HANDSHAKE_RATE", "0").start_proxy().await;
    let mut silent = Vec::new();
    for source in 1..=8 {
        for _ in 0..MAX_FROM_ONE_ADDRESS {
            silent.push(http::connect_from([127, 0, 0, source].into(), proxy.link).await.unwrap());
        }
        assert_eq!(first_line(source, proxy.link).await, "HTTP/1.1 503", "beyond its share");
        let other = if source == 8 { "HTTP/1.1 503" } else { "HTTP/1.1 101" };
        assert_eq!(first_line(99, proxy.link).await, other, "beside {source} full shares");
    }
    drop(silent);
    wait::until("the places of those that have gone", async || {
        (first_line(99, proxy.link).await == "HTTP/1.1 101").then_some(())
    })
    .await;
}
