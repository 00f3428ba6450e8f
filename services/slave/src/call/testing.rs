//! Fixtures of this crate's unit tests: call headers, requests, a bounded wait.
//! Must not know what is being tested.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use protocol::link::header::CallHeader;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::request_state::RequestState;

use super::request::Request;

/// Returns a header as a proxy writes it.
pub(crate) fn header(era: Era) -> CallHeader {
    CallHeader {
        method: "tools/call".into(),
        name: None,
        era,
        version: if era == Era::Modern { Version::NEWEST } else { Version::NEWEST_LEGACY },
        client: None,
        log_level: None,
        session: None,
        request_id: None,
        cancel_id: None,
        request_state: RequestState::default(),
        state_label: 0,
        silence_timeout_ms: 20_000,
        total_timeout_ms: 20_000,
        traceparent: None,
        tracestate: None,
        baggage: None,
        param_headers: BTreeMap::new(),
    }
}

/// Returns a request with this message.
pub(crate) fn request(era: Era, message: &str) -> Request {
    Request::parse(header(era), Bytes::from(message.to_owned())).unwrap()
}

/// Waits for a future, at most 20 s.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it did not happen within 20 s")
}
