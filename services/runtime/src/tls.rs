//! TLS on both sides: PEM files to rustls configurations, changes of the files, and one stream type for plain and TLS.
//!
//! Must not know the protocols above TLS, except that they are HTTP/1.1 (ALPN).

mod certificate;
mod client;
mod files;
mod server;
mod stream;

pub use certificate::{CertificateInfo, certificate_info};
pub use client::{ClientFiles, pinned};
pub use files::{File, HANDSHAKE_TIMEOUT, TlsError};
pub use server::{ServerFiles, ServerTls};
pub use stream::{MaybeTlsStream, is_tls};
