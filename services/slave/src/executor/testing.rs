//! What unit tests of this crate share: headers, calls, a bounded wait.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use protocol::link::header::CallHeader;
use protocol::mcp::era::{Era, Version};

use super::ToolCall;

/// A header as a proxy writes it.
pub(crate) fn header(era: Era) -> CallHeader {
    CallHeader {
        method: "tools/call".into(),
        name: None,
        era,
        version: if era == Era::Modern { Version::NEWEST } else { Version::NEWEST_LEGACY },
        session: None,
        request_id: None,
        silence_timeout_ms: 20_000,
        total_timeout_ms: 20_000,
        traceparent: None,
        tracestate: None,
        baggage: None,
        param_headers: BTreeMap::new(),
    }
}

/// A call with this message.
pub(crate) fn call(era: Era, message: &str) -> ToolCall {
    ToolCall::parse(header(era), Bytes::from(message.to_owned())).unwrap()
}

/// Waits for a condition, not forever.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it did not happen within 20 s")
}
