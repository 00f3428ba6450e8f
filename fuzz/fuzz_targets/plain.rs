//! The plain dialect from any bytes: each request of an existing proxy gets one response with its id, whatever it is; of what an existing slave
//! sends, only a response to a request of its own link ends one, once.

#![no_main]

use bytes::Bytes;
use front::calls::{CallContext, Calls, Listing};
use front::{Edge, EdgeConfig};
use libfuzzer_sys::fuzz_target;
use protocol::link::call::ResponseEvent;
use protocol::link::header::CallHeader;
use protocol::link::plain::{PlainCalls, foreign_id};
use protocol::mcp::log_level::LogLevel;
use runtime::secret::SessionKey;
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio::sync::watch;

/// The beginning of the ids of the link.
const ID: &str = "00000000000000000000000000000001-";

/// Answers each call with a result.
struct Echo(watch::Sender<Arc<Listing>>);

impl Calls for Echo {
    type Stream = futures_util::stream::Iter<std::array::IntoIter<ResponseEvent, 1>>;

    fn listing(&self) -> watch::Receiver<Arc<Listing>> {
        self.0.subscribe()
    }

    fn call(&self, _: CallHeader, _: Bytes, _: CallContext<'_>) -> Self::Stream {
        let payload = Bytes::from_static(br#"{"content":[]}"#);
        futures_util::stream::iter([ResponseEvent::End {
            seq: 0,
            more: false,
            error: false,
            tool_error: false,
            status: 0,
            payload,
        }])
    }

    fn cancel(&self, _: &str, _: &str, _: Option<&str>) {
        panic!("one client could end another's call");
    }

    fn set_log_level(&self, _: &str, _: LogLevel) {}

    fn end_session(&self, _: &str) {}
}

/// The members of a response.
#[derive(serde::Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// A request of a proxy, at our slave.
fn at_the_slave(text: &[u8]) {
    let edge = Edge::new(
        EdgeConfig::new("mcp-relay", "0.0.0", SessionKey::derive("k")),
        Echo(watch::Sender::default()),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let answer = runtime.expect("a runtime").block_on(edge.answer_plain(Bytes::copy_from_slice(text)));
    let words = String::from_utf8_lossy(&answer);
    let response: Response<'_> =
        serde_json::from_slice(&answer).unwrap_or_else(|error| panic!("{error}: {words}"));
    assert!(response.result.is_some() != response.error.is_some(), "{words}");
    if let Some(id) = foreign_id(text) {
        assert_eq!(response.id.map(RawValue::get), Some(id), "{words}");
    }
}

/// Messages of a slave, at our proxy: one a line.
fn at_the_proxy(text: &[u8]) {
    let (mut calls, mut waiting) = (PlainCalls::new(1), 4);
    for _ in 0..waiting {
        calls.insert(());
    }
    for line in text.split(|byte| *byte == b'\n') {
        if calls.on_response(&Bytes::copy_from_slice(line)).is_ok() {
            let names_it = line.windows(ID.len()).any(|bytes| bytes == ID.as_bytes());
            assert!(names_it, "a response to a request of another link");
            assert!(waiting > 0, "a request was answered twice");
            waiting -= 1;
        }
    }
}

fuzz_target!(|data: &[u8]| {
    at_the_slave(data);
    at_the_proxy(data);
});
