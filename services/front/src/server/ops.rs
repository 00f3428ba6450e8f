//! The operator's own port (`OPS_PORT`): health, metrics, API and status page, and nothing of MCP. It answers to the very
//! end, also while the clients' port drains.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use runtime::listen::{BindError, ListenAddr};
use runtime::ops::Ops;
use runtime::tls::ServerTls;
use tokio::task::JoinSet;
use tower::Service as _;

use super::{Came, HEAD_TIMEOUT, Port, ops_handler, secured};
use crate::calls::Calls;
use crate::config::{BindScope, EdgeConfig};
use crate::edge::Edge;
use crate::http::health::HEALTH;
use crate::http::service::McpService;

const NOT_HERE: &str =
    "Not found: this is the operators' port (OPS_PORT). MCP is served on MCP_SERVER_PORT.\n";

/// The operators' port, where there is one.
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

    /// The same, speaking TLS if that is given.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<ServerTls>>) -> Self {
        Self(self.0.map(|port| Port { tls, ..port }))
    }

    /// Serves there until the first of what is returned is dropped. The second is for the clients' port: everything,
    /// where there is no other.
    pub fn open<C: Calls>(self, edge: &Arc<Edge<C>>, ops: Ops) -> (JoinSet<()>, Option<Ops>) {
        let mut serving = JoinSet::new();
        let Some(port) = self.0 else { return (serving, Some(ops)) };
        if let Ok(address) = port.listener.local_addr() {
            let scheme = if port.tls.is_some() { "https" } else { "http" };
            tracing::info!("Ops server listening on {scheme}://{address}");
        }
        serving.spawn(serve(port, (Arc::clone(edge), ops)));
        (serving, None)
    }
}

/// Serves until it is dropped, which closes its connections.
async fn serve<C: Calls>(port: Port, (edge, ops): (Arc<Edge<C>>, Ops)) {
    let exposure = port.listener.local_addr().map_or(BindScope::Network, |at| BindScope::of(at.ip()));
    let config = Arc::new(EdgeConfig { exposure, ..edge.config.clone() });
    let mcp = McpService::new(edge);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, peer) = port.accept() => {
                let (config, ops, mcp) = (Arc::clone(&config), ops.clone(), mcp.clone());
                let service = service_fn(move |request| answer((&config, &ops), &mcp, (request, peer)));
                connections.spawn(connection((stream, port.tls.clone()), service));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

async fn connection<S>(came: Came, service: S)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    let Some(stream) = secured(came).await else { return };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    // Errors here are the asker's: it went away or does not speak HTTP.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

fn answer<C: Calls>(
    (config, ops): (&Arc<EdgeConfig>, &Ops),
    mcp: &McpService<C>,
    (request, peer): (Request<Incoming>, IpAddr),
) -> Answer {
    let path = request.uri().path();
    if let Some(access) = ops.access(path) {
        let (config, ops) = (Arc::clone(config), ops.clone());
        return async move { Ok(ops_handler::answer((&config, access), &ops, (request, Some(peer))).await) }
            .boxed();
    }
    if path == HEALTH {
        // The existing server's check stays where clients look for it, and is here with the others.
        return mcp.clone().call(request).map(|answer| answer.map(|found| found.map(Body::new))).boxed();
    }
    async {
        let mut response = Response::new(Body::from(NOT_HERE));
        *response.status_mut() = StatusCode::NOT_FOUND;
        Ok(response)
    }
    .boxed()
}
