//! A small HTTP/1.1 client for talking to servers of our own: one connection a request. Knows no MCP.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// IP address or name, IPv6 without brackets.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
}

impl Target {
    /// The address to ask a server on that listens on `host`: loopback where it listens on every interface.
    pub(crate) fn of_listener(host: &str, port: u16) -> Self {
        let host = match host {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            other => other,
        };
        Self { host: host.to_owned(), port }
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
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    request.headers_mut().insert(HOST, target.to_string().parse()?);
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
