//! The slave's own HTTP port: the executor as `front` calls it, without a link in between.
//!
//! Must not know HTTP (that is `front`) nor links.

mod calls;
mod session_calls;
mod sink;
mod stream;
mod updates;

pub use calls::LocalCalls;
pub use stream::LocalStream;
