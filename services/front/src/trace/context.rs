//! W3C trace context as clients send it, in the message or in headers of the HTTP request. Must not know spans.

use axum::http::HeaderMap;
use protocol::mcp::envelope::{Meta, Text};
use protocol::mcp::trace_context::trace_id;

/// Bytes of a `traceparent` that is passed on; a longer one is dropped, as W3C Trace Context allows.
const MAX_TRACEPARENT: usize = 128;

/// Bytes of a `tracestate` that is passed on.
const MAX_TRACESTATE: usize = 512;

/// Bytes of a `baggage` that is passed on.
const MAX_BAGGAGE: usize = 2048;

/// W3C trace context and baggage of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) traceparent: Option<String>,
    pub(crate) tracestate: Option<String>,
    pub(crate) baggage: Option<String>,
}

impl Trace {
    /// Returns the context of the message's `_meta` (SEP-414), or that of the HTTP request where it has none.
    /// `traceparent` and `tracestate` come from the same source; baggage is looked up on its own.
    pub(crate) fn resolve(meta: Option<&Meta<'_>>, from_headers: Self) -> Self {
        let within = |text: Option<&Text<'_>>, limit: usize| {
            text.map(Text::as_str).filter(|text| is_valid(text, limit)).map(str::to_owned)
        };
        let Some(meta) = meta else { return from_headers };
        let baggage = within(meta.baggage.as_ref(), MAX_BAGGAGE).or(from_headers.baggage);
        match within(meta.traceparent.as_ref(), MAX_TRACEPARENT).filter(|text| trace_id(text).is_some()) {
            None => Self { baggage, ..from_headers },
            traceparent => {
                let tracestate = within(meta.tracestate.as_ref(), MAX_TRACESTATE);
                Self { traceparent, tracestate, baggage }
            }
        }
    }

    /// Reads the context of an HTTP request.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let read = |name: &'static str, limit: usize| {
            let text = headers.get(name)?.to_str().ok()?;
            is_valid(text, limit).then(|| text.to_owned())
        };
        let traceparent = read("traceparent", MAX_TRACEPARENT);
        // The other two mean nothing without it (W3C Trace Context, 3.3), and looking them up costs time.
        if traceparent.is_none() {
            return Self::default();
        }
        let (tracestate, baggage) = (read("tracestate", MAX_TRACESTATE), read("baggage", MAX_BAGGAGE));
        Self { traceparent, tracestate, baggage }
    }
}

/// Whether a value is printable ASCII and at most `limit` bytes long.
fn is_valid(text: &str, limit: usize) -> bool {
    text.len() <= limit && text.bytes().all(|b| (0x20..0x7f).contains(&b))
}
