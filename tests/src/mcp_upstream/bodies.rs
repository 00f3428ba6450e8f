//! Bodies of an MCP server's answers: JSON, and streams that are written piece by piece. Must not know what is asked.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub(super) type Body = UnsyncBoxBody<Bytes, h2::Error>;

pub(super) fn full(text: String) -> Body {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn json_body(status: u16, value: &Value) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(full(serde_json::to_string_pretty(value).unwrap())).unwrap()
}

pub(super) fn status(status: u16) -> Response<Body> {
    Response::builder().status(status).body(full(String::new())).unwrap()
}

pub(super) fn stream(events: mpsc::UnboundedReceiver<String>) -> Response<Body> {
    let events = futures_util::stream::unfold(events, |mut events| async move {
        let event = events.recv().await?;
        Some((Ok::<_, h2::Error>(Frame::data(Bytes::from(event))), events))
    });
    let response = Response::builder().header("content-type", "text/event-stream; charset=utf-8");
    response.body(StreamBody::new(events).boxed_unsync()).unwrap()
}

pub(super) fn fixed(text: String) -> Response<Body> {
    let (sender, events) = mpsc::unbounded_channel();
    sender.send(text).unwrap();
    stream(events)
}

pub(super) fn event(id: &str, value: &Value) -> String {
    format!("event: message\r\nid: {id}\r\ndata: {value}\r\n\r\n")
}

pub(super) fn progress(params: &Value, n: u64) -> String {
    let token = &params["_meta"]["progressToken"];
    let params = json!({ "progressToken": token, "progress": n });
    event("", &json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }))
}

/// A stream that the server resets after its first event.
pub(super) fn reset(event: String) -> Response<Body> {
    let frames = [Ok(Frame::data(Bytes::from(event))), Err(h2::Error::from(h2::Reason::INTERNAL_ERROR))];
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()).unwrap()
}
