//! A link to a proxy: the first messages, then frames (native) or JSON-RPC (plain) until the link ends. Must not know
//! how to dial.

mod auth;
mod disconnect;
mod metered;
mod native;
mod plain;
mod plain_proxy;
mod plain_requests;
mod proof;
mod run;
mod shared;
mod table;

pub(crate) use auth::{Socket, authenticate};
pub(crate) use disconnect::DisconnectReason;
pub(crate) use metered::Metered;
pub(crate) use plain_proxy::PlainProxies;
pub(crate) use proof::{ResumeSecrets, new_nonce};
pub(crate) use run::{Authenticated, run};
pub(crate) use shared::{Code, LinkStatus, Links};
pub(crate) use table::LinkTable;
