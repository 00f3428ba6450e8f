//! Requests of clients from any bytes, on one connection, up to the calls that they begin: no panic, no internal failure, no half response; and
//! what comes through is a message that can be sent to a slave.

#![no_main]

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use front::calls::{CallContext, Calls, EntryListing, Listing};
use front::{Edge, EdgeConfig, McpService};
use futures_util::stream::{self, Stream};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use libfuzzer_sys::fuzz_target;
use protocol::link::call::ResponseEvent;
use protocol::link::header::CallHeader;
use protocol::mcp::entry_array::EntryArray;
use protocol::mcp::envelope::{self, Message};
use protocol::mcp::log_level::LogLevel;
use runtime::secret::SessionKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

/// Longest wait for the end of a response, in virtual time: streams that stay open are left then.
const PATIENCE: Duration = Duration::from_secs(40);

/// Answers each call with a progress notification and a result.
struct Echo(watch::Sender<Arc<Listing>>);

impl Echo {
    fn new() -> Self {
        let tool = r#"{"name":"echo","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"}}}}"#;
        let mut listing = Listing::default();
        listing.lists[0] =
            EntryListing { entries: EntryArray::new([("echo", tool)]), ..EntryListing::default() };
        Self(watch::Sender::new(Arc::new(listing)))
    }
}

impl Calls for Echo {
    type Stream = Events;

    fn listing(&self) -> watch::Receiver<Arc<Listing>> {
        self.0.subscribe()
    }

    fn call(&self, header: CallHeader, message: Bytes, _: CallContext<'_>) -> Events {
        assert!(!header.method.is_empty());
        let text = serde_json::to_vec(&header).expect("a header that can be written");
        assert!(serde_json::from_slice::<CallHeader>(&text).is_ok(), "{}", String::from_utf8_lossy(&text));
        if header.purpose.is_request() {
            assert!(matches!(envelope::parse(&message), Ok(Message::Request { .. })));
        }
        let event = Bytes::from_static(
            br#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#,
        );
        let end = Bytes::from_static(br#"{"content":[]}"#);
        Events(stream::iter([
            ResponseEvent::Event { seq: 0, more: false, request: false, payload: event },
            ResponseEvent::End {
                seq: 1,
                more: false,
                error: false,
                tool_error: false,
                status: 0,
                payload: end,
            },
        ]))
    }

    fn cancel(&self, session: &str, request_id: &str, reason: Option<&str>) {
        assert!(!session.is_empty() && !request_id.is_empty());
        assert!(reason.is_none_or(|reason| reason.chars().count() <= 1024));
    }

    fn set_log_level(&self, session: &str, _: LogLevel) {
        assert!(!session.is_empty());
    }

    fn end_session(&self, session: &str) {
        assert!(!session.is_empty());
    }
}

/// The events of a call.
struct Events(stream::Iter<std::array::IntoIter<ResponseEvent, 2>>);

impl Stream for Events {
    type Item = ResponseEvent;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ResponseEvent>> {
        std::pin::Pin::new(&mut self.0).poll_next(cx)
    }
}

/// Sends the bytes on one connection and returns what comes back.
async fn answer(data: &[u8]) -> Vec<u8> {
    let edge =
        Arc::new(Edge::new(EdgeConfig::new("mcp-relay", "0.0.0", SessionKey::derive("k")), Echo::new()));
    let service = McpService::new(edge).of([127, 0, 0, 1].into());
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let serve = http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(server), TowerToHyperService::new(service));
    let talk = async {
        let mut answer = Vec::new();
        let _ = client.write_all(data).await;
        let _ = client.shutdown().await;
        let _ = tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await;
        drop(client);
        answer
    };
    let talk = std::pin::pin!(talk);
    let serve = std::pin::pin!(serve);
    match futures_util::future::select(talk, serve).await {
        futures_util::future::Either::Left((answer, _)) => answer,
        futures_util::future::Either::Right((_, talk)) => talk.await,
    }
}

/// Checks the first response, if it is one of a known length.
fn check(answer: &[u8]) {
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(answer));
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        assert!(answer.is_empty(), "half a head: {}", String::from_utf8_lossy(answer));
        return;
    };
    let (head, body) = (String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase(), &answer[end + 4..]);
    assert!(!head.starts_with("http/1.1 500"), "{}", String::from_utf8_lossy(answer));
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
    let length =
        field("content-length:").and_then(|length| length.parse::<usize>().ok()).filter(|length| *length > 0);
    let is_json = field("content-type:").is_some_and(|kind| kind.starts_with("application/json"));
    // The answer to HEAD has a length and no body.
    if let (Some(body), true) = (length.and_then(|length| body.get(..length)), is_json) {
        let text = String::from_utf8_lossy(body);
        assert!(serde_json::from_slice::<&serde_json::value::RawValue>(body).is_ok(), "{text}");
    }
}

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let answer = runtime.expect("a runtime").block_on(answer(data));
    check(&answer);
});
