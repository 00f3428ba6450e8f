//! The slaves' side of the proxy: accepts and authenticates links, registers slaves, and carries calls to them.
//!
//! Must not know HTTP clients or which slave a call is for; answers go to whoever opened the call.

mod accept;
mod admission;
mod announce;
mod audit;
mod auth;
mod awaited;
mod bad_answers;
mod batch;
mod bounds;
mod broadcast;
mod call;
mod catalog;
mod close_reason;
mod code_watch;
mod disconnect;
mod events;
mod handshake_limiter;
mod health;
mod info;
mod late_answers;
mod lifecycle;
mod link_end;
mod link_task;
mod offer;
mod peers;
mod plain;
mod plain_tools;
mod refusal;
mod registration;
mod registry;
mod report;
mod response;
mod resume;
mod shared_port;
mod slave;
mod slave_calls;
mod slave_catalog;
mod slot_table;
mod snapshot;
mod stranger;
mod wrong_codes;

pub(crate) use accept::{AcceptContext, serve_slaves};
pub(crate) use admission::Admission;
pub(crate) use announce::{announce_changes, count_addresses};
pub(crate) use bounds::LeftOut;
pub(crate) use call::CallRequest;
pub(crate) use catalog::CatalogAccounts;
pub(crate) use code_watch::follow_codes;
pub(crate) use link_task::LinkTimes;
pub(crate) use registry::{Reach, Registry};
pub(crate) use response::{Recv, ResponseRx};
pub(crate) use shared_port::{Entering, SharedPort};
pub(crate) use slave::Slave;
pub(crate) use snapshot::SlaveSnapshot;
