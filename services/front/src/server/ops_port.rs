//! The operators' own port (`OPS_PORT`): health, metrics, API and status page, but not MCP. The port answers until the
//! process ends, also while the clients' port drains.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use protocol::mcp::failure::Failure;
use runtime::admission::Refusals;
use runtime::listen::{BindError, ListenAddr};
use runtime::ops::Ops;
use runtime::tls::ServerTls;
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::admission::refuse;
use super::guarded::{GuardedBody, guarded};
use super::head;
use super::limits::{MAX_HEAD, MAX_OPS_CONNECTIONS, MAX_REFUSALS};
use super::ops_router::{OpsRouter, refusal};
use super::port::{Accepted, Opened, Port};
use super::progress::Progress;
use super::request_body::RequestBody;
use super::stream::WatchedStream;
use super::watched::Watched;
use crate::calls::Calls;
use crate::config::{BindScope, EdgeConfig};
use crate::edge::Edge;
use crate::http::health::HEALTH;
use crate::http::service::McpService;

const NOT_FOUND: &str =
    "Not found: this is the operators' port (OPS_PORT). MCP is served on MCP_SERVER_PORT.\n";

/// The operators' port, if one is configured.
#[derive(Debug)]
pub struct OpsPort(Option<Port>);

impl OpsPort {
    /// Listens, if an address is given.
    pub async fn bind(address: Option<&ListenAddr>) -> Result<Self, BindError> {
        Ok(Self(match address {
            Some(address) => Some(Port::from(address.bind().await?)),
            None => None,
        }))
    }

    /// Returns the port with TLS, if `tls` is given.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<ServerTls>>) -> Self {
        Self(self.0.map(|port| Port { tls, ..port }))
    }

    /// Returns who can reach the port, if there is one.
    pub fn scope(&self) -> Option<BindScope> {
        self.0.as_ref().map(scope)
    }

    /// Returns the URL of the port, if there is one.
    pub fn url(&self) -> Option<String> {
        self.0.as_ref().and_then(url)
    }

    /// Serves `ops` on this port until the returned set is dropped. Without a port of its own, `ops` is returned: the
    pub fn open<C: Calls>(self, edge: &Arc<Edge<C>>, ops: Ops) -> (JoinSet<()>, Option<Ops>) {
        let mut serving = JoinSet::new();
        let Some(port) = self.0 else { return (serving, Some(ops)) };
        if let Some(url) = url(&port) {
            tracing::info!("Ops server listening on {url}");
        }
        let router = router(&port, Arc::clone(edge), ops);
        serving.spawn(serve(port, router));
        (serving, None)
    }
}

/// Returns the endpoints with `/health` beside them: the health check of the existing server is served on this port
/// and on that of clients.
fn router<C: Calls>(port: &Port, edge: Arc<Edge<C>>, ops: Ops) -> OpsRouter {
    let config = Arc::new(EdgeConfig { exposure: scope(port), ..edge.config.clone() });
    let service = McpService::new(Arc::clone(&edge));
    let health = ServiceExt::<Request<Body>>::map_response(service, |response| response.map(Body::new));
    OpsRouter::new(ops, Arc::clone(&config))
        .with_calls(edge, config)
        .with_routes(|router: Router| router.route_service(HEALTH, health).fallback(async || not_found()))
}

fn url(port: &Port) -> Option<String> {
    let scheme = if port.tls.is_some() { "https" } else { "http" };
    port.listener.local_addr().ok().map(|address| format!("{scheme}://{address}"))
}

fn scope(port: &Port) -> BindScope {
    port.listener.local_addr().map_or(BindScope::Network, |at| BindScope::of(at.ip()))
}

/// The response for any other path. Plain text, as whoever asks here speaks no MCP; the status is that of the failure
/// table.
fn not_found() -> Response {
    let mut response = Response::new(Body::from(NOT_FOUND));
    *response.status_mut() =
        StatusCode::from_u16(Failure::PathNotFound.spec().legacy).unwrap_or(StatusCode::NOT_FOUND);
    response
}

/// Serves until the future is dropped, which closes its connections.
async fn serve(port: Port, router: OpsRouter) {
    let mut connections = JoinSet::new();
    let refusals = Refusals::new(MAX_REFUSALS);
    loop {
        tokio::select! {
            accepted = port.accept() => {
                if connections.len() >= MAX_OPS_CONNECTIONS {
                    refuse(&refusals, accepted, "too many connections to OPS_PORT");
                    continue;
                }
                connections.spawn(serve_connection(accepted, router.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(accepted: Accepted, router: OpsRouter) {
    let peer = Some(accepted.peer);
    let Some(Opened { stream, .. }) = accepted.handshake(router.stall()).await else { return };
    let progress = Progress::new(router.stall());
    let stream = WatchedStream::new(stream, progress.clone());
    let begun = progress.clone();
    let service = service_fn(move |request| answer(router.clone(), request, peer, begun.clone()));
    let mut builder = http1::Builder::new();
    // The progress has the time limits.
    builder.header_read_timeout(None).half_close(false).max_buf_size(MAX_HEAD);
    // Errors here are the client's: it went away or does not speak HTTP.
    let _ = Watched::new(Box::pin(builder.serve_connection(TokioIo::new(stream), service)), progress).await;
}

async fn answer(
    router: OpsRouter,
    request: Request<Incoming>,
    peer: Option<IpAddr>,
    progress: Progress,
) -> Result<Response<GuardedBody<Body>>, Infallible> {
    let mut guard = Some(progress.begin_request(None));
    let request = request.map(|body| RequestBody::new(body, Some(progress)));
    let response = match head::check_request(&request, guard.as_mut()) {
        Ok(()) => router.answer(request, peer).await?,
        Err(failure) => refusal(failure),
    };
    Ok(guarded(response, |body| body, guard))
}
