//! A TLS connection whose failed writes say why the peer has ended it. Must not know which side it is of.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ConnectionCommon;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

/// Bytes that are read at once after a write has failed.
const CHUNK: usize = 4 * 1024;

/// A TLS connection. In TLS 1.3 a server judges a client's certificate after the client's handshake (RFC 8446, 4.4.2.4): it sends an alert
/// and closes, so a write may fail before anybody has read the alert. What is here already is read then, and the alert is the write's error.
#[derive(Debug)]
pub struct TlsConnection<S> {
    inner: TlsStream<S>,
    /// Why a write failed, while the peer's last words are being read.
    failed: Option<io::Error>,
    /// Whether this side has begun to close: a write that fails then says nothing of the peer.
    is_closing: bool,
}

/// Returns whether a stream failed because of TLS, for example by an alert of the peer.
pub fn is_tls(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

impl<S> TlsConnection<S> {
    pub(super) fn new(inner: TlsStream<S>) -> Self {
        Self { inner, failed: None, is_closing: false }
    }

    /// Returns the TLS stream itself.
    pub(super) fn inner(&self) -> &TlsStream<S> {
        &self.inner
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsConnection<S> {
    /// Writes; where the peer has closed the connection, reads on to its alert.
    fn poll_written<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TlsStream<S>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.failed.is_none() {
            match write(Pin::new(&mut self.inner), cx) {
                Poll::Ready(Err(error)) if !self.is_closing && is_closed_by_peer(&error) => {
                    self.failed = Some(error);
                }
                written => return written,
            }
        }
        // The peer has closed, so reading comes to an end without it.
        let told = loop {
            match ready!(self.poll_chunk(cx)) {
                Ok(0) => break None,
                Ok(_) => {}
                Err(error) => break Some(error).filter(is_tls),
            }
        };
        let failed = self.failed.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
        Poll::Ready(Err(told.unwrap_or(failed)))
    }

    /// Reads a piece into the TLS session, where a later read finds what is in it.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [0; CHUNK];
        let mut chunk = ReadBuf::new(&mut space);
        let stream = match &mut self.inner {
            TlsStream::Client(stream) => stream.get_mut().0,
            TlsStream::Server(stream) => stream.get_mut().0,
        };
        ready!(Pin::new(stream).poll_read(cx, &mut chunk))?;
        match &mut self.inner {
            TlsStream::Client(stream) => feed(stream.get_mut().1, chunk.filled())?,
            TlsStream::Server(stream) => feed(stream.get_mut().1, chunk.filled())?,
        }
        Poll::Ready(Ok(chunk.filled().len()))
    }
}

/// Passes bytes to a session.
///
/// # Errors
/// What was sent ends TLS, or there is no room for more.
fn feed<Side>(session: &mut ConnectionCommon<Side>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        session.read_tls(&mut bytes)?;
        session.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
    Ok(())
}

fn is_closed_by_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    )
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsConnection<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsConnection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_written(cx, |inner, cx| inner.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_written(cx, |inner, cx| inner.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_written(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.is_closing = true;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{AlertDescription, ClientConfig, Error, RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::tls::files::provider;

    /// A stream whose writes can be made to fail.
    struct Failing {
        inner: DuplexStream,
        with: Option<io::ErrorKind>,
    }

    impl AsyncRead for Failing {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_read(cx, into)
        }
    }

    impl AsyncWrite for Failing {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            match self.with {
                Some(kind) => Poll::Ready(Err(kind.into())),
                None => Pin::new(&mut self.inner).poll_write(cx, bytes),
            }
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_shutdown(cx)
        }
    }

    /// A server's acceptor, which may require certificates, and a connector that presents none.
    fn sides(requires: bool) -> (TlsAcceptor, TlsConnector) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider());
        let builder = if requires {
            builder.with_client_cert_verifier(clients.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let server = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let client = ClientConfig::builder_with_provider(provider());
        let client = client.with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
    }

    async fn client(connector: TlsConnector, stream: DuplexStream) -> TlsConnection<Failing> {
        let stream = Failing { inner: stream, with: None };
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnection::new(TlsStream::Client(connector.connect(name, stream).await.unwrap()))
    }

    impl TlsConnection<Failing> {
        fn fail(&mut self, with: io::ErrorKind) {
            let TlsStream::Client(stream) = &mut self.inner else { unreachable!() };
            stream.get_mut().0.with = Some(with);
        }
    }

    fn alert(error: &io::Error) -> Option<AlertDescription> {
        match error.get_ref()?.downcast_ref()? {
            Error::AlertReceived(alert) => Some(*alert),
            _ => None,
        }
    }

    /// Polls a future once.
    async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
    }

    const BY_PEER: [io::ErrorKind; 3] =
        [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionAborted];

    #[tokio::test]
    async fn a_write_that_fails_before_the_alert_is_read_has_the_alert_for_its_error() {
        for kind in BY_PEER {
            let (acceptor, connector) = sides(true);
            let (near, far) = duplex(1 << 16);
            let (mut client, refused) = tokio::join!(client(connector, near), acceptor.accept(far));
            assert!(refused.is_err());
            client.fail(kind);
            let error = client.write_all(b"hello").await.unwrap_err();
            assert_eq!(alert(&error), Some(AlertDescription::CertificateRequired), "{kind:?}: {error}");
            let error = client.read_u8().await.unwrap_err();
            assert_eq!(alert(&error), Some(AlertDescription::CertificateRequired), "{kind:?}: {error}");
        }
    }

    #[tokio::test]
    async fn an_alert_that_is_on_its_way_is_waited_for() {
        let (acceptor, connector) = sides(true);
        let (near, far) = duplex(1 << 16);
        let mut accepting = pin!(acceptor.accept(far));
        let mut client = tokio::select! {
            client = client(connector, near) => client,
            _ = &mut accepting => panic!("the client's certificate comes after its handshake"),
        };
        client.fail(io::ErrorKind::BrokenPipe);
        let mut writing = pin!(client.write_all(b"hello"));
        assert!(poll_once(writing.as_mut()).await.is_pending());
        assert!(accepting.await.is_err());
        let error = writing.await.unwrap_err();
        assert_eq!(alert(&error), Some(AlertDescription::CertificateRequired), "{error}");
    }

    #[tokio::test]
    async fn without_an_alert_the_error_stays_and_what_came_before_can_be_read() {
        for kind in BY_PEER {
            let (acceptor, connector) = sides(false);
            let (near, far) = duplex(1 << 16);
            let (mut client, server) = tokio::join!(client(connector, near), acceptor.accept(far));
            let mut server = server.unwrap();
            server.write_all(b"goodbye").await.unwrap();
            server.flush().await.unwrap();
            drop(server);
            client.fail(kind);
            assert_eq!(client.write_all(b"hello").await.unwrap_err().kind(), kind);
            let mut text = [0; 7];
            client.read_exact(&mut text).await.unwrap();
            assert_eq!(&text, b"goodbye", "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_failure_that_the_peer_has_no_part_in_is_told_at_once() {
        for (kind, closes) in [
            (io::ErrorKind::TimedOut, false),
            (io::ErrorKind::Other, false),
            (io::ErrorKind::BrokenPipe, true),
        ] {
            let (acceptor, connector) = sides(false);
            let (near, far) = duplex(1 << 16);
            let (mut client, server) = tokio::join!(client(connector, near), acceptor.accept(far));
            let _server = server.unwrap();
            if closes {
                client.shutdown().await.unwrap();
            }
            client.fail(kind);
            let written = poll_once(pin!(client.write_all(b"hello"))).await;
            let Poll::Ready(written) = written else { panic!("{kind:?}: the server stays") };
            assert_eq!(written.unwrap_err().kind(), kind);
        }
    }
}
