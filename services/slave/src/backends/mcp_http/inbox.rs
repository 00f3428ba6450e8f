//! Where the messages of a server go. Must not know how they come.

use bytes::Bytes;
use protocol::mcp::failure::Failure;

/// Where messages of a server go.
pub(crate) trait Inbox: Send + Sync + 'static {
    /// Takes a message; `of` is the request on whose stream it came, if it came on one's.
    fn message(&self, of: Option<u64>, message: Bytes);

    /// Ends a request without an answer, if it waits for one.
    fn failed(&self, id: u64, failure: Failure);

    /// Returns whether a request waits for its answer.
    fn waits(&self, id: u64) -> bool;
}
