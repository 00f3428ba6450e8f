//! Responses in pieces: deferred headers, events, silence, failures, and back-pressure.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use protocol::link::call::ResponseEvent;
use protocol::mcp::failure::Failure;
use tokio::time::Instant;

use crate::fake::{BOTH, Reply, Rig, end, event, piece};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;

async fn call(rig: &Rig, headers: &[(&str, &str)]) -> Response<Body> {
    rig.send(Method::POST, "/mcp", headers, CALL.into()).await
}

async fn next(body: &mut Body) -> String {
    let frame = body.frame().await.expect("more").unwrap().into_data().unwrap();
    String::from_utf8(frame.to_vec()).unwrap()
}

fn kind(response: &Response<Body>) -> &str {
    response.headers()["content-type"].to_str().unwrap()
}

#[tokio::test]
async fn a_lone_result_is_json_with_its_length() {
    let rig = Rig::new();
    for size in [10, 100_000] {
        let payload = format!("\"{}\"", "x".repeat(size));
        rig.scripted(vec![end(0, &payload)]);
        let response = call(&rig, BOTH).await;
        assert_eq!(kind(&response), "application/json");
        let expected = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{payload}}}"#);
        assert_eq!(axum::body::HttpBody::size_hint(response.body()).exact(), Some(expected.len() as u64));
        assert_eq!(Reply::read(response).await.text(), expected);
    }
}

#[tokio::test]
async fn a_result_whose_pieces_are_there_has_its_length_too() {
    let rig = Rig::new();
    let block = Bytes::from(vec![b'7'; 50_000]);
    rig.scripted(vec![piece(0, block.clone()), piece(1, block.clone()), end(2, "7")]);
    let response = call(&rig, BOTH).await;
    let length = axum::body::HttpBody::size_hint(response.body()).exact();
    let text = Reply::read(response).await.text().to_owned();
    assert_eq!(length, Some(text.len() as u64));
    assert_eq!(text, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}}}"#, "7".repeat(100_001)));
    assert_eq!(rig.open_calls(), 0);

    // One that breaks off before anything was sent is an error like any other.
    rig.scripted(vec![piece(0, block.clone()), ResponseEvent::Failed(Failure::Internal)]);
    let reply = Reply::read(call(&rig, BOTH).await).await;
    assert!(reply.text().contains(r#""error":"#), "{}", reply.text());

    // Nobody waits for the rest of a result.
    let script = rig.script(2);
    script.send(piece(0, block.clone())).await.unwrap();
    let mut body = call(&rig, BOTH).await.into_body();
    assert_eq!(axum::body::HttpBody::size_hint(&body).exact(), None);
    assert!(next(&mut body).await.ends_with(r#""result":"#));
    assert_eq!(next(&mut body).await.len(), block.len());
    script.send(end(1, "7")).await.unwrap();
    assert_eq!(next(&mut body).await, "7}");
    assert!(body.frame().await.is_none());

    // Of a long one little is taken before its response begins.
    let rig = Rig::new();
    rig.scripted((0..100).map(|seq| piece(seq, block.clone())).chain([end(100, "7")]).collect());
    let response = call(&rig, BOTH).await;
    assert_eq!(axum::body::HttpBody::size_hint(response.body()).exact(), None);
    assert!(rig.taken() < 10, "{}", rig.taken());
    assert_eq!(Reply::read(response).await.text().len(), 34 + 5_000_001);
}

#[tokio::test]
async fn events_open_a_stream_that_ends_with_the_result() {
    let rig = Rig::new();
    rig.scripted(vec![event(0, r#"{"n":1}"#), event(1, r#"{"n":2}"#), end(2, "{}")]);
    let response = call(&rig, BOTH).await;
    assert_eq!(
        (kind(&response), &response.headers()["x-accel-buffering"]),
        ("text/event-stream", &"no".parse().unwrap())
    );
    assert_eq!(response.headers()["cache-control"], "no-cache");
    let text = "data: {\"n\":1}\n\ndata: {\"n\":2}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n";
    assert_eq!(Reply::read(response).await.text(), text);
}

#[tokio::test]
async fn no_event_is_taken_before_the_client_read_the_last_one() {
    let rig = Rig::new();
    let parts = (0..8).map(|seq| event(seq, &"x".repeat(20_000))).chain([end(8, "{}")]).collect();
    rig.scripted(parts);
    let mut body = call(&rig, BOTH).await.into_body();
    assert_eq!(rig.taken(), 1, "the event that decided the framing");
    let mut seen = String::new();
    for taken in 1..=8 {
        while seen.matches("\n\n").count() < taken {
            seen.push_str(&next(&mut body).await);
            assert_eq!(rig.taken(), taken);
        }
    }
    assert!(next(&mut body).await.starts_with("data: {\"jsonrpc\""));
    assert!(body.frame().await.is_none());
    assert_eq!(rig.open_calls(), 0);
}

#[tokio::test]
async fn a_long_result_is_passed_on_piece_by_piece_without_a_copy() {
    for (headers, events) in [
        (BOTH, false),
        (&[("accept", "application/json")][..], false),
        (&[("accept", "text/event-stream")], true),
    ] {
        let rig = Rig::new();
        let script = rig.script(1);
        let block = Bytes::from(vec![b'7'; 64 * 1024]);
        let pieces = 800;
        let writer = tokio::spawn({
            let block = block.clone();
            async move {
                for seq in 0..pieces {
                    script.send(piece(seq, block.clone())).await.unwrap();
                }
                script.send(end(pieces, "")).await.unwrap();
            }
        });
        let response = call(&rig, headers).await;
        assert_eq!(kind(&response), if events { "text/event-stream" } else { "application/json" });
        let mut body = response.into_body();
        let (mut length, mut largest, mut shared) = (0, 0, 0);
        let (mut first, mut last) = (Bytes::new(), Bytes::new());
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            // The payload itself is handed on, not a copy.
            shared += u64::from(data.as_ptr() == block.as_ptr());
            length += data.len();
            largest = largest.max(data.len());
            first = if first.is_empty() { data.clone() } else { first };
            last = data;
        }
        writer.await.unwrap();
        assert_eq!((largest, shared), (block.len(), pieces));
        let (before, after) = if events { ("data: ", "\n\n") } else { ("", "") };
        let head = format!("{before}{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":");
        assert_eq!((first, last), (Bytes::from(head.clone()), Bytes::from(format!("}}{after}"))));
        assert_eq!(length, head.len() + 1 + after.len() + block.len() * usize::try_from(pieces).unwrap());
    }
}

#[tokio::test]
async fn a_notification_in_pieces_becomes_one_line() {
    let rig = Rig::new();
    let more = |seq, payload: &str| ResponseEvent::Event {
        seq,
        more: true,
        request: false,
        payload: payload.to_owned().into(),
    };
    rig.scripted(vec![more(0, "{\"a\""), more(1, ":"), event(2, "1}"), piece(3, "{".into()), end(4, "}")]);
    let text = Reply::read(call(&rig, BOTH).await).await;
    assert_eq!(text.text(), "data: {\"a\":1}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n");
}

#[tokio::test]
async fn line_breaks_in_json_do_not_break_events() {
    let rig = Rig::new();
    rig.scripted(vec![event(0, "{\n\"a\":1}\r\n"), piece(1, "{\n\n".into()), end(2, "data: \n}")]);
    let reply = Reply::read(call(&rig, BOTH).await).await;
    let expected = "data: { \"a\":1}  \n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{  data:  }}\n\n";
    assert_eq!(reply.text(), expected);
}

#[tokio::test]
async fn clients_that_accept_no_events_get_the_result_alone() {
    let rig = Rig::new();
    for headers in [&[][..], &[("accept", "*/*")], &[("accept", "application/json")]] {
        rig.scripted(vec![event(0, "{}"), event(1, "{}"), end(2, "{}")]);
        let response = call(&rig, headers).await;
        assert_eq!(kind(&response), "application/json");
        assert_eq!(Reply::read(response).await.text(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    }
}

#[tokio::test(start_paused = true)]
async fn clients_that_accept_only_events_always_get_events() {
    let rig = Rig::new();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for body in [CALL, ping] {
        let reply = rig.post(&[("accept", "text/event-stream")], body).await;
        assert_eq!(reply.header("content-type"), "text/event-stream");
        assert!(
            reply.text().starts_with("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":"),
            "{}",
            reply.text()
        );
        assert!(reply.text().ends_with("}\n\n"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_call_opens_its_stream_and_keeps_it_alive() {
    let rig = Rig::new();
    let script = rig.script(1);
    let began = Instant::now();
    let mut body = call(&rig, BOTH).await.into_body();
    assert_eq!(began.elapsed(), Duration::from_secs(2), "SSE_AFTER_MS");
    for _ in 0..3 {
        let waited = Instant::now();
        assert_eq!(next(&mut body).await, ":\n\n");
        assert_eq!(waited.elapsed(), Duration::from_secs(15));
    }
    script.send(piece(0, "{".into())).await.unwrap();
    assert!(next(&mut body).await.ends_with('{'));
    // Within a message a comment would be read as data: none is sent.
    let quiet = tokio::time::timeout(Duration::from_secs(100), body.frame()).await;
    assert!(quiet.is_err());
    script.send(end(1, "}")).await.unwrap();
    assert_eq!(next(&mut body).await, "}}\n\n");
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_silent_call_of_a_client_that_accepts_no_events_is_waited_for() {
    let rig = Rig::new();
    let script = rig.script(1);
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(200)).await;
        script.send(end(0, "{}")).await.unwrap();
    });
    let reply = rig.post(&[("accept", "*/*")], CALL).await;
    assert_eq!((reply.header("content-type"), reply.outcome()), ("application/json", (200, None)));
    later.await.unwrap();
}

#[tokio::test]
async fn a_failure_after_events_is_an_error_response_and_within_a_message_aborts_the_body() {
    let rig = Rig::new();
    rig.scripted(vec![event(0, "{}"), ResponseEvent::Failed(Failure::OutcomeUnknown)]);
    let reply = Reply::read(call(&rig, BOTH).await).await;
    let last = reply.text().rsplit("data: ").next().unwrap().trim_end();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((last["error"]["code"].as_i64(), last["id"].as_i64()), (Some(-31001), Some(1)));

    for headers in [BOTH, &[("accept", "text/event-stream")][..]] {
        for broken in [Some(ResponseEvent::Failed(Failure::OutcomeUnknown)), None] {
            let script = rig.script(2);
            script.send(piece(0, "{\"a\":".into())).await.unwrap();
            let body = call(&rig, headers).await.into_body();
            // Only now, since nothing was sent yet before.
            if let Some(broken) = broken {
                script.send(broken).await.unwrap();
            }
            drop(script);
            assert!(body.collect().await.is_err(), "half a message must not look whole");
        }
    }
    assert_eq!(rig.open_calls(), 0);
}

#[tokio::test]
async fn dropping_the_response_drops_the_call() {
    let rig = Rig::new();
    let script = rig.script(2);
    script.send(event(0, "{}")).await.unwrap();
    let body = call(&rig, BOTH).await.into_body();
    assert_eq!(rig.open_calls(), 1);
    drop(body);
    assert_eq!(rig.open_calls(), 0);
    // The same holds for dropping the request before the first event.
    let waiting = rig.script(1);
    {
        let pending = std::pin::pin!(call(&rig, BOTH));
        assert!(futures_util::poll!(pending).is_pending());
        assert_eq!(rig.open_calls(), 1);
    }
    assert_eq!(rig.open_calls(), 0);
    assert!(waiting.is_closed());
}
