//! A small HTTP/1.1 client for talking to servers of our own: one connection a request. Knows no MCP.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use runtime::tls::{TlsError, pinned};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where a server listens.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// IP address or name, IPv6 without brackets.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
    /// How it is trusted, where it speaks TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// The same server, if it speaks TLS with the certificate in this file: nobody else is trusted.
    pub(crate) fn with_certificate(self, file: Option<&Path>) -> Result<Self, TlsError> {
        Ok(Self { tls: file.map(pinned).transpose()?, ..self })
    }

    /// The address to ask a server on that listens on `host`: loopback where it listens on every interface.
    pub(crate) fn of_listener(host: &str, port: u16) -> Self {
        let host = match host {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            other => other,
        };
        Self { host: host.to_owned(), port, tls: None }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Sends one request; the answer's body is still to be read. Dropping the body ends the connection.
pub(crate) async fn send(
    target: &Target,
    mut request: Request<Full<Bytes>>,
) -> anyhow::Result<Response<Incoming>> {
    request.headers_mut().insert(HOST, target.to_string().parse()?);
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
    match &target.tls {
        None => exchange(stream, request).await,
        Some(config) => {
            let name = ServerName::try_from(target.host.clone())?;
            exchange(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?, request).await
        }
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// GET with a time limit: status and body.
pub(crate) async fn get(target: &Target, path: &str, limit: Duration) -> anyhow::Result<(u16, String)> {
    let exchange = async {
        let request = Request::get(path).body(Full::default())?;
        let response = send(target, request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    match tokio::time::timeout(limit, exchange).await {
        Ok(result) => result,
        Err(_) => anyhow::bail!("no answer within {} s", limit.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_interface_is_asked_over_loopback() {
        for (host, expected) in
            [("0.0.0.0", "127.0.0.1:80"), ("::", "[::1]:80"), ("10.0.0.1", "10.0.0.1:80"), ("h", "h:80")]
        {
            assert_eq!(Target::of_listener(host, 80).to_string(), expected);
        }
    }
}
