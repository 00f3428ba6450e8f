//! Access of slaves: the codes that may be presented and what each allows. Must not know sockets or links.

pub(crate) mod code;
mod codes;
mod entry;
mod file;
mod policy;

pub use code::CodeDigest;
pub(crate) use code::{Invalid, shown};
pub use codes::Codes;
pub use entry::Entry;
pub use file::{CodesFile, CodesFileError};
pub use policy::Grant;
pub(crate) use policy::LabelRefused;
