//! The HTTP client: connections that are used again, HTTP/2 where the server offers it, TLS, and the proxies of the environment.
//!
//! Must not know what is asked, nor of whom.

mod connector;
mod events;
mod fault;

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::PROXY_AUTHORIZATION;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::io_fault::describe;
use crate::outbound::{ForwardProxy, WayFaultKind};
pub use connector::{ClientSettings, Connector, HttpStream, Protocols};
pub use events::{Event, EventReader, EventTooLong};
pub use fault::ConnectFault;

/// Time for which a connection without a request is kept. Below the limits of common servers and load balancers.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Longest time that a connection, TLS and the way through a proxy included, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The failure of a request, in words. Never names a path, a query or a header.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection: the server has not seen the request.
    #[error("{0}")]
    NoConnection(String),
    /// The connection broke: the server may have seen the request.
    #[error("{0}")]
    Broken(String),
}

/// An HTTP client. Cheap to clone; all clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client<Connector, Full<Bytes>>,
    settings: ClientSettings,
}

impl HttpClient {
    /// Returns a client without connections.
    pub fn new(settings: ClientSettings) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(Connector::new(settings.clone(), CONNECT_TIMEOUT));
        Self { client, settings }
    }

    /// Sends a request with an absolute URL and returns the head of the response. Redirects are not followed. Dropping the future or the
    /// body ends the exchange.
    ///
    /// # Errors
    /// There is no response.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, HttpError> {
        // A request without TLS is read by the proxy, which must have its credentials from the request itself.
        let proxy = self.settings.reading_proxy(request.uri());
        if let Some(authorization) = proxy.as_ref().and_then(ForwardProxy::authorization) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let target = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let response = self.client.request(request).await.map_err(|error| {
            let reason = reason(&error);
            if error.is_connect() { HttpError::NoConnection(reason) } else { HttpError::Broken(reason) }
        })?;
        match proxy.filter(|_| response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
            Some(proxy) => {
                let kind = match proxy.authorization() {
                    Some(_) => WayFaultKind::Credentials,
                    None => WayFaultKind::Anonymous,
                };
                Err(HttpError::NoConnection(proxy.fault(&target, kind).to_string()))
            }
            None => Ok(response),
        }
    }
}

/// Returns the failure's cause in words.
pub fn reason(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return describe(error);
        }
        cause = error.source();
    }
    "the connection broke".to_owned()
}
