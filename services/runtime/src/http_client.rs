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
use connector::LastAlert;
pub use connector::{ClientSettings, Connector, HttpStream, Protocols};
pub use events::{Event, EventReader, EventTooLong};
pub use fault::ConnectFault;

/// Time for which a connection without a request is kept. Below the limits of common servers and load balancers.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Longest time that a connection, TLS and the way through a proxy included, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a request is sent again that the server has refused to process.
const MAX_REPEATS: u32 = 2;

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
    alert: LastAlert,
}

impl HttpClient {
    /// Returns a client without connections.
    pub fn new(settings: ClientSettings) -> Self {
        let connector = Connector::new(settings.clone(), CONNECT_TIMEOUT);
        let alert = connector.last_alert();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Self { client, settings, alert }
    }

    /// Sends a request with an absolute URL and returns the head of the response. Redirects are not followed. A request that the server has
    /// refused to process is sent again (RFC 9113, 8.7). Dropping the future or the body ends the exchange.
    ///
    /// # Errors
    /// There is no response.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, HttpError> {
        // A request without TLS is read by the proxy, which must have its credentials from the request itself.
        let proxy = self.settings.reading_proxy(request.uri());
        if let Some(authorization) = proxy.as_ref().and_then(ForwardProxy::authorization) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let to = request.uri().clone();
        let mut repeats = 0;
        let response = loop {
            match self.client.request(request.clone()).await {
                Ok(response) => break response,
                Err(error) if repeats < MAX_REPEATS && causes(&error).any(is_unprocessed) => repeats += 1,
                Err(error) => return Err(self.explain(&error, to.host().unwrap_or_default())),
            }
        };
        match proxy.filter(|_| response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
            Some(proxy) => {
                let kind = match proxy.authorization() {
                    Some(_) => WayFaultKind::Credentials,
                    None => WayFaultKind::Anonymous,
                };
                let target = to.authority().map(ToString::to_string).unwrap_or_default();
                Err(HttpError::NoConnection(proxy.fault(&target, kind).to_string()))
            }
            None => Ok(response),
        }
    }

    fn explain(&self, error: &hyper_util::client::legacy::Error, host: &str) -> HttpError {
        let alert = self.alert.lock().take_if(|(from, _)| from == host);
        if let Some((_, failure)) = alert.filter(|_| !error.is_connect()) {
            return HttpError::Broken(format!("TLS to {host} failed: {failure}"));
        }
        let reason = reason(error);
        if error.is_connect() { HttpError::NoConnection(reason) } else { HttpError::Broken(reason) }
    }
}

/// Returns an error and its causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Returns whether the error says that the server has not processed the request: it refused the stream, or named the last stream that it
/// processes before it closes the connection.
fn is_unprocessed(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<h2::Error>().is_some_and(|error| {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let closed = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        error.is_remote() && (refused || closed)
    })
}

/// Returns the failure's cause in words.
pub fn reason(error: &(dyn Error + 'static)) -> String {
    let words = |cause: &(dyn Error + 'static)| match cause.downcast_ref::<h2::Error>() {
        Some(error) => of_http2(error),
        None => cause.downcast_ref::<io::Error>().map(describe),
    };
    causes(error).find_map(words).unwrap_or_else(|| "the connection broke".to_owned())
}

/// Words for a failure of HTTP/2, without the text that a server may send with it.
fn of_http2(error: &h2::Error) -> Option<String> {
    let Some(reason) = error.reason() else { return error.get_io().map(describe) };
    let what = match (error.is_remote(), error.is_go_away()) {
        (true, true) => "it closed the connection",
        (true, false) => "it reset the stream",
        (false, _) => "it broke the rules of HTTP/2",
    };
    Some(format!("{what} (HTTP/2 error {}: {})", u32::from(reason), reason.description()))
}
