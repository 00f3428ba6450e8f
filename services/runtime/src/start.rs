//! Errors that keep any service from starting. Must not know services.

use crate::listen::BindError;
use crate::metrics::MetricsError;
use crate::tls::TlsError;

/// Why a service could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port could not be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The address of a listening socket cannot be read.
    #[error("cannot read the address of a listening socket: {0}")]
    Address(std::io::Error),
    /// SIGHUP cannot be listened for.
    #[error("cannot listen for SIGHUP: {0}")]
    Signals(std::io::Error),
    /// The metrics recorder cannot be installed.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A TLS file became unusable after the configuration was checked.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] TlsError),
    /// The system has no random numbers.
    #[error("the system's random source failed: {0}")]
    Random(#[from] getrandom::Error),
}
