//! Keys of clients and operators: listed in a variable, or in a file that is read again when it changes.
//!
//! Keys are kept as digests only. Must not know HTTP, nor what a key is good for.

mod file;
mod follow;
mod key;
mod store;

pub use file::KeysFile;
pub use follow::{FollowedFile, Reload, follow_keys, follow_session_keys};
pub use key::Key;
pub use store::{KeyStore, Revocation};
