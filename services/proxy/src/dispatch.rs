//! The clients' side of the proxy: which slaves offer which tool, which slave takes a call, and the call's response.
//!
//! Must not know how a link carries frames, nor HTTP. Read from the bottom: `ownership`, `directory` and `pool` (what is offered), `send`
//! and `wait` (how a call reaches a slave), `call_state` and `ongoing` (what becomes of it), `dispatcher` (the whole).

mod awaiting;
mod bad_answer;
mod begin;
mod by_kind;
mod call_log;
mod call_state;
mod candidates;
mod catalog;
mod conflicts;
mod denial;
mod directory;
mod dispatcher;
mod early;
mod ending;
mod exchange;
mod forwarder;
mod host;
mod listed;
mod listening;
mod lost_slave;
mod observe;
mod offer;
mod ongoing;
mod open_call;
mod ownership;
mod permission;
mod policies;
mod pool;
mod posting;
mod queue;
mod ready;
mod rebuild;
mod retry;
mod send;
mod shown;
mod slave_wait;
mod stream;
mod task_lists;
mod unnamed;
mod wait;
mod withheld;

pub(crate) use catalog::CatalogRow;
pub(crate) use dispatcher::Dispatcher;
pub(crate) use forwarder::Forwarder;
pub(crate) use policies::{CallTimes, Policies};
pub(crate) use rebuild::ActiveSettings;
