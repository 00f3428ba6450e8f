//! Who counts the requests that the edge answers itself. Must not know how they are counted.

use protocol::mcp::failure::Failure;

/// Told of each request that the edge answers without a call. Calls are counted by whoever takes them.
pub trait Observer: Send + Sync + 'static {
    /// One request was answered.
    ///
    /// `method` is a known MCP method, `other`, `invalid` (no message could be read), or an HTTP method; its
    /// cardinality is bounded. `failure` is why it was refused, if it was. `seconds` is the time spent on it.
    fn answered(&self, method: &'static str, failure: Option<&Failure>, seconds: f64) {
        let _ = (method, failure, seconds);
    }
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}
