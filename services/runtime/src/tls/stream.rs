//! A connection that is plain TCP or TLS, at the cost of one branch for each read or write. Must not know the protocol
//! above it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream, server};

use super::connection::TlsConnection;

/// A byte stream to a peer, encrypted or not, over TCP or over a stream that has a way of its own.
#[derive(Debug)]
pub enum MaybeTlsStream<S = TcpStream> {
    /// Unencrypted.
    Plain(S),
    /// Encrypted.
    Tls(Box<TlsConnection<S>>),
}

/// Returns whether a handshake failed because the peer went away without a word, or sent something that is no TLS: so do
/// probes of load balancers.
pub fn is_no_handshake(error: &std::io::Error) -> bool {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidMessage(_)) => true,
        Some(_) => false,
        None => matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        ),
    }
}

impl<S> MaybeTlsStream<S> {
    /// Returns the certificates that the peer presented, its own first; empty without any.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        match self {
            Self::Plain(_) => &[],
            Self::Tls(stream) => stream.inner().get_ref().1.peer_certificates().unwrap_or_default(),
        }
    }

    /// Returns the SHA-256 digest of the certificate that the peer presented and that was verified; `None` without one.
    pub fn peer_certificate(&self) -> Option<[u8; 32]> {
        self.peer_certificates().first().map(|certificate| Sha256::digest(certificate).into())
    }

    /// Returns the application protocol that ALPN agreed on; `None` without TLS or agreement.
    pub fn application_protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.inner().get_ref().1.alpn_protocol(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> MaybeTlsStream<S> {
    /// Runs a client's handshake with the server of this name over `stream`. Has no time limit of its own; dropping the future drops the
    /// stream.
    ///
    /// # Errors
    /// The handshake fails: [`super::explain()`] tells why.
    pub async fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        stream: S,
    ) -> io::Result<Self> {
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Self::Tls(Box::new(TlsConnection::new(TlsStream::Client(stream)))))
    }
}

impl MaybeTlsStream {
    /// Returns the TCP connection below, for its options.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.inner().get_ref().0,
        }
    }

    /// Wraps a stream whose client's handshake is done.
    pub(super) fn accepted(stream: server::TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(TlsConnection::new(TlsStream::Server(stream))))
    }
}

impl<S> From<S> for MaybeTlsStream<S> {
    fn from(stream: S) -> Self {
        Self::Plain(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for MaybeTlsStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MaybeTlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
