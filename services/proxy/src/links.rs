//! The side that slaves connect to: accept and authenticate, keep the registry, carry frames.
//!
//! Must not know HTTP clients or MCP's rules for them; hands answers to whoever opened the call.

mod accept;
mod admission;
mod audit;
mod auth;
mod call;
mod codes;
mod condition;
mod facts;
mod farewell;

mod peers;
mod plain;
mod portrait;
mod pump;
mod registry;
mod slave;
mod slot;

pub(crate) use accept::{Backdoor, serve_slaves};
pub(crate) use call::OpenCall;
pub(crate) use codes::{Codebook, CodesSource};

pub(crate) use peers::{announce_changes, count_addresses};
pub(crate) use portrait::Portrait;
pub(crate) use registry::Registry;
pub(crate) use slave::Slave;
pub(crate) use slot::{Slot, Taken};
