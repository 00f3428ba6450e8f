//! W3C trace context as clients send it: in the message, or in the HTTP header around it. Knows nothing of spans.

use axum::http::HeaderMap;
use protocol::mcp::envelope::{Meta, Text};
use protocol::mcp::trace_context::trace_id;

/// Longest `traceparent`, `tracestate` and `baggage` that is passed on; longer ones are dropped, as W3C allows.
const LIMITS: [usize; 3] = [128, 512, 2048];

/// W3C trace context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) traceparent: Option<String>,
    pub(crate) tracestate: Option<String>,
    pub(crate) baggage: Option<String>,
}

impl Trace {
    /// That of the message, which is the call's own whatever carries it (SEP-414, "`_meta`"), else what came `beside`
    /// it. `traceparent` and `tracestate` belong together; baggage stands for itself.
    pub(crate) fn of(meta: Option<&Meta<'_>>, beside: Self) -> Self {
        let within = |text: Option<&Text<'_>>, limit: usize| {
            text.map(Text::as_str).filter(|text| is_trace(text, limit)).map(str::to_owned)
        };
        let Some(meta) = meta else { return beside };
        let baggage = within(meta.baggage.as_ref(), LIMITS[2]).or(beside.baggage);
        match within(meta.traceparent.as_ref(), LIMITS[0]).filter(|text| trace_id(text).is_some()) {
            None => Self { baggage, ..beside },
            traceparent => {
                let tracestate = within(meta.tracestate.as_ref(), LIMITS[1]);
                Self { traceparent, tracestate, baggage }
            }
        }
    }

    /// That of an HTTP request.
    pub(crate) fn beside(headers: &HeaderMap) -> Self {
        let read = |name: &'static str, limit: usize| {
            let text = headers.get(name)?.to_str().ok()?;
            is_trace(text, limit).then(|| text.to_owned())
        };
        let traceparent = read("traceparent", LIMITS[0]);
        // The other two mean nothing without it (W3C Trace Context, 3.3), and looking for them costs time.
        if traceparent.is_none() {
            return Self::default();
        }
        Self { traceparent, tracestate: read("tracestate", LIMITS[1]), baggage: read("baggage", LIMITS[2]) }
    }
}

/// Whether a value can be trace context: visible ASCII and blanks, not too long.
fn is_trace(text: &str, limit: usize) -> bool {
    text.len() <= limit && text.bytes().all(|b| (0x20..0x7f).contains(&b))
}
