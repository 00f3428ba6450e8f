//! The reasons for which a proxy cannot start. Must not know how it runs.

use runtime::start::StartError;

use runtime::document::SecretFileError;

/// The reason that the proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A requirement that every service has is not met.
    #[error(transparent)]
    Start(#[from] StartError),
    /// `SLAVE_CODES_FILE` became unusable after the configuration was checked.
    #[error("SLAVE_CODES_FILE cannot be used: {0}")]
    Codes(#[from] SecretFileError),
    /// The keys of the fleet cannot be derived from the session key.
    #[error("no keys can be derived from the session key")]
    FleetKeys,
}
