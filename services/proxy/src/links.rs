//! The side that slaves connect to: accept and authenticate, keep the registry, carry frames.
//!
//! Must not know HTTP clients or MCP's rules for them; hands answers to whoever opened the call.

mod accept;
mod audit;
mod auth;
mod call;
mod close_reason;
mod codes;
mod condition;
mod disconnect;
mod events;
mod facts;
mod handshake_limiter;
mod link_end;
mod link_task;
mod load;
mod pace;
mod peers;
mod plain;
mod portrait;
mod registry;
mod response;
mod slave;

pub(crate) use accept::{AcceptContext, serve_slaves};
pub(crate) use call::OpenCall;
pub(crate) use codes::{Codebook, CodesSource};
pub(crate) use link_task::LinkTimes;
pub(crate) use load::{Freed, InFlight, Turned};
pub(crate) use pace::Pace;
pub(crate) use peers::{announce_changes, count_addresses};
pub(crate) use portrait::Portrait;
pub(crate) use registry::Registry;
pub(crate) use response::{Recv, ResponseRx};
pub(crate) use slave::Slave;
