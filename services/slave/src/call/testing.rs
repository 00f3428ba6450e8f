//! Fixtures of this crate's unit tests: call headers, requests, a bounded wait.
//! Must not know what is being tested.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use protocol::link::header::CallHeader;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::kind::Kind;

use super::request::Request;

/// Returns a header as a proxy writes it.
pub(crate) fn header(era: Era) -> CallHeader {
    let version = if era == Era::Modern { Version::NEWEST } else { Version::NEWEST_LEGACY };
    CallHeader {
        kind: Some(Kind::Tool),
        silence_timeout_ms: 20_000,
        total_timeout_ms: 20_000,
        ..CallHeader::new("tools/call", era, version)
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
