//! Access of slaves: the codes that may be presented and what each allows. Must not know sockets or links.

mod code;
mod code_limits;
mod codes;
mod entry;
mod expiry;
mod file;
mod grant;
mod identity;
mod labels;
mod policy;
mod precedence;
mod provision;
mod store;
mod summary;

pub use code::CodeDigest;
pub(crate) use code::InvalidCode;
pub(crate) use code_limits::CodeLimits;
pub use codes::Codes;
pub use entry::CodeEntry;
pub(crate) use expiry::ExpirySchedule;
pub use file::CodesFile;
pub(crate) use grant::{Announced, Grant, PoolDomain};
pub(crate) use identity::{Identity, TrustDomain, shown_name};
pub use policy::CodePolicy;
pub(crate) use policy::ToolDenied;
pub(crate) use precedence::Precedence;
pub(crate) use store::{AccessDenied, CodeStore, CodesSource, Review};
