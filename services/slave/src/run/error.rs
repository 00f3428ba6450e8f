//! Why the slave could not start. Must not know how it runs.

use runtime::start::StartError;

use crate::backends::commands::file::ToolsFileError;
use crate::backends::servers_file::ServersFileError;
use crate::dial::DialError;

/// Why the slave could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A requirement of every service is missing.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The file of backends cannot be used.
    #[error(transparent)]
    Backends(#[from] ServersFileError),
    /// The file of tools cannot be used.
    #[error(transparent)]
    Tools(#[from] ToolsFileError),
    /// The file of keys for tokens cannot be used.
    #[error("IDENTITY_KEY_FILE, {path}: expected {why}")]
    IdentityKeys {
        /// The file.
        path: String,
        /// What was expected; never what is in it.
        why: String,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Dial(#[from] DialError),
}
