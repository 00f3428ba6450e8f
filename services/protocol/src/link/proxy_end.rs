//! The proxy's end of the link to one slave process: calls outlive the socket, the socket is somebody else's.
//!
//! Feed frames in with [`ProxyEnd::receive`], take frames out with [`ProxyEnd::poll_transmit`]; answers go to the
//! [`Sink`] of their call at once. Never waits, never panics, holds at most one credit window a call.

mod broadcast;
mod call;
mod calls;
mod event;
mod receive;
mod sink;
mod state;
mod transmit;

pub use call::Deadlines;
pub use calls::NotLinked;
pub use event::ProxyEvent;
pub use sink::Sink;
pub use state::ProxyEnd;
