//! Slaves that come to the clients' port (`SLAVES_ON_CLIENT_PORT`): what they ask for over HTTP, and how they go on as those of the
//! slaves' port. Must not know the clients' server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use link::OpeningFault;
use protocol::link::handshake::IN_USE_HEADER;
use protocol::link::limits::MAX_AUTH;
use runtime::tls::MaybeTlsStream;

use super::accept::{AcceptContext, Opened, serve_opened};
use super::admission::{Rejected, Unauthenticated};
use super::refusal;

/// What a request that cannot become a link is told.
const EXPECTED: &str = "This path takes the slaves of mcp-relay, over WebSocket (RFC 6455, version 13): set \
                        PROXY_SERVER_URL of a slave to its address. MCP is served on the other paths.\n";

/// The way in for slaves at the clients' port. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SharedPort(Arc<AcceptContext>);

/// A slave whose request was accepted, before its stream is there.
pub(crate) struct Entering {
    context: Arc<AcceptContext>,
    share: Unauthenticated,
    /// The slave's address, as trusted proxies report it; `None`: that of the connection.
    forwarded: Option<IpAddr>,
}

impl SharedPort {
    pub(crate) fn new(context: Arc<AcceptContext>) -> Self {
        Self(context)
    }

    /// Answers the request of a connection from `peer`, within the limits of the slaves' port. With 101 the slave enters, once its
    /// stream is there.
    pub(crate) fn answer(&self, peer: IpAddr, request: &Request<()>) -> (Response<String>, Option<Entering>) {
        let context = &self.0;
        let at = SocketAddr::new(peer, 0);
        let accepted = match link::upgrade_response(request) {
            Ok(response) => response,
            Err(fault) => {
                refusal::report_stranger(at, &fault);
                return (refuse(&fault), None);
            }
        };
        let (admission, trusted, now) = (&context.admission, &context.trusted, Instant::now());
        let admitted = match admission.admit(peer, trusted, now) {
            Err(Rejected::Rate(_)) if request.headers().contains_key(IN_USE_HEADER) => {
                admission.admit_in_use(peer, trusted, now)
            }
            admitted => admitted,
        };
        let share = match admitted {
            Ok(share) => share,
            Err(rejected) => {
                refusal::record_rejected(at, rejected, &context.admission);
                return (reject(rejected), None);
            }
        };
        let origin = context.trusted.client(peer, request.headers());
        let forwarded = (origin != peer.to_canonical()).then_some(origin);
        let entering = Entering { context: Arc::clone(context), share, forwarded };
        (accepted.map(|()| String::new()), Some(entering))
    }
}

impl Entering {
    /// Begins to serve the slave on its stream, in a task of its own. `read` was read of the stream behind the request.
    pub(crate) fn begin(self, stream: MaybeTlsStream, read: &Bytes) {
        let Self { context, share, forwarded } = self;
        let Ok(peer) = stream.tcp().peer_addr() else { return };
        if context
            .tls
            .as_ref()
            .is_some_and(|tls| tls.requires_certificates() && !tls.accepts_client_of(&stream))
        {
            return refusal::report_uncertified(peer);
        }
        let certificate = stream.peer_certificate();
        let origin = forwarded.map_or(peer, |address| SocketAddr::new(address, 0));
        let socket = link::upgraded(stream, BytesMut::from(&read[..]), MAX_AUTH);
        let opened = Opened { socket, peer: origin, certificate };
        tokio::spawn(serve_opened(opened, peer, share, context));
    }
}

fn refuse(fault: &OpeningFault) -> Response<String> {
    let (status, body) = match fault {
        OpeningFault::Plain { .. } => (StatusCode::UPGRADE_REQUIRED, EXPECTED.to_owned()),
        OpeningFault::Version => (StatusCode::UPGRADE_REQUIRED, format!("Refused: {fault}.\n{EXPECTED}")),
        other => (StatusCode::BAD_REQUEST, format!("Refused: {other}.\n{EXPECTED}")),
    };
    let mut response = text(status, body);
    if status == StatusCode::UPGRADE_REQUIRED {
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

fn reject(rejected: Rejected) -> Response<String> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, format!("{rejected}\n"));
    response.headers_mut().insert(RETRY_AFTER, rejected.retry_after().into());
    response
}

fn text(status: StatusCode, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
