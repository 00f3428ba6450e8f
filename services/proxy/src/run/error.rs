//! Why the proxy could not start. Must not know how it runs.

use runtime::start::StartError;

use crate::access::CodesFileError;

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A requirement of every service is missing.
    #[error(transparent)]
    Start(#[from] StartError),
    /// `SLAVE_CODES_FILE` became unusable after the configuration was checked.
    #[error("SLAVE_CODES_FILE cannot be used: {0}")]
    Codes(#[from] CodesFileError),
}
