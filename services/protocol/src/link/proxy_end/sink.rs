//! Reader of one call at the proxy's end. Must not know links.

use crate::link::call::ResponseEvent;

/// Destination of a call's response.
pub trait Sink {
    /// Takes the next part of the response. Must not block; credit bounds what can come.
    fn on_event(&mut self, event: ResponseEvent);
    /// Learns that the call never reached the slave and may go to another. Nothing follows.
    fn on_unsent(&mut self);
    /// Learns that the slave, which may have the call, has been without a link for so long that it is probably dead. The call
    /// goes on: it ends or is cancelled as before. Said again while the link stays down.
    fn on_probably_lost(&mut self) {}
    /// Returns whether the client can come back to the call, by ids of events that it got. Asked when the call is cancelled: where it
    /// cannot, the slave need keep nothing.
    fn may_return(&self) -> bool {
        true
    }
}
