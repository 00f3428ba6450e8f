//! A call as a backend sees it: the request in, events and one answer out, and the handle that cancels it.
//!
//! Both `executor` and `backends` build on this module. Must not know either of them, links or HTTP.

mod ask;
mod backend;
mod end;
mod exchange;
mod execute;
mod handle;
mod request;
mod sink;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use ask::ASKABLE;
pub use ask::{AnswerSender, ClientAnswer, ClientRequest, PendingAnswer};
pub(crate) use backend::{Answer, Backend, TaskPages};
pub use end::CallEnd;
pub(crate) use exchange::Exchange;
pub(crate) use execute::{BegunCall, Execute};
pub use handle::CallHandle;
pub(crate) use handle::CancelReason;
pub(crate) use request::{Request, TaskOrigin};
pub use sink::{CallSink, SinkClosed};
