//! Why a connection to a server could not be opened, as sentences. Must not know requests.

use std::io;
use std::time::Duration;

use crate::io_fault::describe;
use crate::outbound::WayFault;
use crate::tls::TlsFailure;

/// Why there is no connection to a server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFault {
    /// The TCP connection to the server, or the resolution of its name, failed.
    #[error("no connection to {host}, port {port}: {}", describe(.source))]
    Unreachable {
        /// The server; IPv6 in brackets.
        host: String,
        /// Its port.
        port: u16,
        /// The system's error.
        source: io::Error,
    },
    /// The forward proxy on the way opens none.
    #[error(transparent)]
    Way(#[from] WayFault),
    /// The TLS handshake with the server failed.
    #[error("TLS to {host} failed: {failure}")]
    Tls {
        /// The server.
        host: String,
        /// What happened, and what to do.
        failure: TlsFailure,
    },
    /// No certificate can be for the server's name.
    #[error("{0} is no name that a certificate can have")]
    Name(String),
    /// The client has no TLS.
    #[error("{0} is reached by https://, for which there is no TLS here")]
    NoTls(String),
    /// The connection was not open in time.
    #[error("no connection within {0:?}: does a firewall drop the packets?")]
    Late(Duration),
}
