//! Requests to one server: their headers, redirects, and what its answers change. Must not know which messages are sent when.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use hyper::{Method, Request, Response};
use parking_lot::Mutex;
use protocol::link::identity::Identity;
use protocol::mcp::era::Version;
use protocol::mcp::param_headers::header_text;
use runtime::http_client::{ClientSettings, HttpClient, Protocols};
use runtime::outbound::OutboundRules;
use runtime::tls::{ClientFiles, TlsError};
use url::Url;

use super::config::{HttpServer, HttpTransport};
use super::fault::Fault;
use super::inbox::Inbox;
use super::outgoing::Outgoing;
use super::state::State;
use crate::identity_tokens::IdentityTokens;
use crate::splice::strip_newlines;

/// The header of a session.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// The header of a version.
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// The header that asks for the rest of a stream.
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// Redirects within the origin that are followed, at most.
const MAX_REDIRECTS: usize = 3;

/// What all servers of a slave share.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamSettings {
    /// Bytes of one message.
    pub(crate) max_message: usize,
    /// The forward proxies on the way.
    pub(crate) ways: OutboundRules,
    /// Signs tokens for servers that get them.
    pub(crate) tokens: Option<IdentityTokens>,
}

/// A server, its session and its connections.
pub(crate) struct Upstream {
    pub(super) backend: Arc<str>,
    pub(super) server: HttpServer,
    pub(super) inbox: Box<dyn Inbox>,
    /// Bytes of one message.
    pub(super) limit: usize,
    pub(super) state: Mutex<State>,
    /// Held while a lost session is begun again.
    pub(super) renewal: tokio::sync::Mutex<()>,
    client: HttpClient,
    headers: HeaderMap,
    tokens: Option<IdentityTokens>,
}

impl Upstream {
    /// Returns a server without a session. Blocks on the files of TLS.
    ///
    /// # Errors
    /// The files of TLS cannot be used.
    pub(crate) fn new(
        backend: Arc<str>,
        server: HttpServer,
        settings: UpstreamSettings,
        inbox: Box<dyn Inbox>,
    ) -> Result<Self, TlsError> {
        let UpstreamSettings { max_message: limit, ways, tokens } = settings;
        let extra_roots = ways.extra_roots().map(Path::to_owned);
        let settings = ClientSettings {
            tls: Some(ClientFiles { extra_roots, ..server.tls.clone() }.load()?),
            roots: "\"tls\": {\"ca\": \"...\"} in the entry",
            identity: Some("\"tls\": {\"cert\": \"...\", \"key\": \"...\"} in the entry"),
            protocols: Protocols::Both,
            ways,
        };
        let headers = server.headers.iter().filter_map(|(name, value)| {
            let mut value = HeaderValue::from_str(value.expose()).ok()?;
            value.set_sensitive(true);
            Some((name.clone(), value))
        });
        Ok(Self {
            headers: headers.collect(),
            tokens,
            client: HttpClient::new(settings),
            state: Mutex::default(),
            renewal: tokio::sync::Mutex::default(),
            backend,
            server,
            limit,
            inbox,
        })
    }

    /// Posts a message and returns the response, whatever its status.
    pub(super) async fn post(&self, to: &Url, message: &Outgoing) -> Result<Response<Incoming>, Fault> {
        let mut headers = self.common(message.client.as_ref());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(version) = message.version {
            self.add_modern(&mut headers, message, version);
        } else if message.method == "initialize" {
            headers.remove(SESSION);
            headers.remove(VERSION);
        }
        self.send(Method::POST, to.clone(), headers, message.body.clone()).await
    }

    /// Asks for a stream of events: the rest of one after the event `last`, or one of its own.
    pub(super) async fn get(&self, last: Option<&str>) -> Result<Response<Incoming>, Fault> {
        let mut headers = self.common(None);
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
            headers.insert(LAST_EVENT, last);
        }
        self.send(Method::GET, self.server.url.clone(), headers, Bytes::new()).await
    }

    /// Ends the session, if there is one.
    pub(crate) async fn end_session(&self) {
        if self.state.lock().session.is_some() {
            let ended =
                self.send(Method::DELETE, self.server.url.clone(), self.common(None), Bytes::new()).await;
            tracing::debug!(backend = &*self.backend, ended = ended.is_ok(), "ended the server's session");
        }
    }

    /// Passes a message of the server on, without newlines. `request` is the one that it came for.
    pub(super) fn deliver(&self, request: Option<&Outgoing>, message: Vec<u8>) {
        let mut message = message;
        strip_newlines(&mut message);
        if let Some(request) = request {
            self.state.lock().observe(request, &message);
        }
        self.inbox.message(request.and_then(|request| request.id), message.into());
    }

    /// Returns the entry's headers with those of the session, and the token that says whose request it is.
    fn common(&self, client: Option<&Identity>) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some((tokens, audience)) = self.tokens.as_ref().zip(self.server.audience.as_ref()) {
            let token = tokens.sign(audience, client);
            let value = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
            if let Some(mut value) = value {
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
        }
        let state = self.state.lock();
        if let Some(session) = &state.session {
            headers.insert(SESSION, session.clone());
        }
        if let Some(version) = state.version.filter(|_| self.server.transport == HttpTransport::Streamable) {
            headers.insert(VERSION, HeaderValue::from_static(version.as_str()));
        }
        headers
    }

    /// Adds the headers of a modern request (2026-07-28, Streamable HTTP, "Standard Headers").
    fn add_modern(&self, headers: &mut HeaderMap, message: &Outgoing, version: Version) {
        headers.insert(VERSION, HeaderValue::from_static(version.as_str()));
        let standard = [("mcp-method", Some(&message.method)), ("mcp-name", message.name.as_ref())];
        for (name, text) in standard {
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(&header_text(text)).ok()) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers.extend(self.state.lock().argument_headers(message));
    }

    async fn send(
        &self,
        method: Method,
        mut to: Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, Fault> {
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = to.as_str().parse().map_err(|_| Fault::Odd("its URL is no URL".into()))?;
            *request.headers_mut() = headers.clone();
            let response = self.client.send(request).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            to = self.redirect(&to, &response)?;
        }
        Err(Fault::Odd(format!("it redirects more than {MAX_REDIRECTS} times")))
    }

    /// Returns where a response redirects to. Only a redirect that keeps method and origin is followed.
    fn redirect(&self, from: &Url, response: &Response<Incoming>) -> Result<Url, Fault> {
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let to = location.and_then(|location| from.join(location).ok());
        let Some(to) = to.filter(|_| matches!(response.status().as_u16(), 307 | 308)) else {
            return Err(Fault::Status(response.status().as_u16()));
        };
        if to.origin() != self.server.url.origin() {
            return Err(Fault::Redirect(to.host_str().unwrap_or("nowhere").escape_default().to_string()));
        }
        Ok(to)
    }
}
