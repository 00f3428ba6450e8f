//! Reader of one call at the proxy's end. Must not know links.

use crate::link::call::ResponseEvent;

/// Destination of a call's response.
pub trait Sink {
    /// Takes the next part of the response. Must not block; credit bounds what can come.
    fn on_event(&mut self, event: ResponseEvent);
    /// Learns that the call never reached the slave and may go to another. Nothing follows.
    fn on_unsent(&mut self);
}
