//! TLS of servers and clients: rustls configurations from PEM files, their reload when the files change, and one stream
//! type for plain TCP and TLS.
//!
//! Must not know the protocols above TLS, except that they are HTTP/1.1 (ALPN).

mod certificate;
mod client;
mod client_certificate;
mod connection;
mod explain;
mod files;
mod server;
mod stream;

pub use certificate::{CertificateInfo, certificate_info};
pub use client::{ClientFiles, pinned};
pub use client_certificate::{CertificateUse, ClientCertificate};
pub use connection::is_tls;
pub use explain::{TlsFailure, TlsPeer, explain};
pub use files::{File, HANDSHAKE_TIMEOUT, TlsError};
pub use server::{Presenting, ServerFiles, ServerTls};
pub use stream::{MaybeTlsStream, is_no_handshake};
