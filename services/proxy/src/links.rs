//! The slaves' side of the proxy: accepts and authenticates links, registers slaves, and carries calls to them.
//!
//! Must not know HTTP clients or which slave a call is for; answers go to whoever opened the call.

mod accept;
mod admission;
mod announce;
mod audit;
mod auth;
mod batch;
mod broadcast;
mod call;
mod code_watch;
mod farewell;
mod health;
mod info;
mod lifecycle;
mod offer;
mod peers;
mod plain;
mod pump;
mod registry;
mod report;
mod slave;
mod slave_calls;
mod slot;
mod snapshot;

pub(crate) use accept::{Backdoor, serve_slaves};
pub(crate) use announce::{announce_changes, count_addresses};
pub(crate) use call::CallRequest;
pub(crate) use code_watch::follow_codes;
pub(crate) use registry::Registry;
pub(crate) use slave::Slave;
pub(crate) use slot::{Slot, Taken};
pub(crate) use snapshot::SlaveSnapshot;
