//! The reader of one call at the proxy's end. Must not know links.

use crate::link::call::ResponseEvent;

/// Where a call's answer goes.
pub trait Sink {
    /// One piece of the answer. Must not block; credit bounds what can come.
    fn part(&mut self, part: ResponseEvent);
    /// The call never reached the slave and may go to another. Nothing follows.
    fn unsent(&mut self);
}
