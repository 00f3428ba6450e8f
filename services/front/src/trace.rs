//! Traces of the edge: the W3C context that clients send, attribute names of MCP spans, and spans of requests that the
//! edge answers itself. Must not know what takes calls.

mod context;
mod request_span;
pub mod semconv;

pub(crate) use context::Trace;
pub(crate) use request_span::RequestSpan;
