//! The proxy's end of the link to one slave process. Calls outlive the link; sockets belong to somebody else.
//!
//! The owner feeds frames in with [`ProxyEnd::receive`] and takes frames out with [`ProxyEnd::poll_transmit`]; responses go to
//! the [`Sink`] of their call at once. No function waits or panics; each call holds at most one credit window in memory.

mod broadcast;
mod call;
mod calls;
mod event;
mod receive;
mod sink;
mod state;
mod transmit;

pub use broadcast::MAX_PENDING_FACTS;
pub use call::Deadlines;
pub use calls::NotLinked;
pub use event::ProxyEvent;
pub use sink::Sink;
pub use state::{PROBABLY_LOST, ProxyEnd};
