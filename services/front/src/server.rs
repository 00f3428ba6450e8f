//! Serves an edge, and the operator's endpoints on the same listener or on one of their own. Must not know what takes
//! the calls.

mod ops;
mod ops_handler;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::mcp::failure::Failure;
use runtime::config::{AllowedOrigins, CommonConfig};
use runtime::ops::Ops;
use runtime::shutdown::Shutdown;
use runtime::tls::{MaybeTlsStream, ServerTls};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::Service as _;

use crate::calls::Calls;
use crate::config::{BindScope, EdgeConfig};
use crate::edge::Edge;
use crate::http::body::AnswerBody;
use crate::http::reply::{Refused, refuse};
use crate::http::service::McpService;
use crate::keys::Keys;
use crate::origin::Origins;
use crate::repoll::Settle;
pub use ops::OpsPort;

/// How long a TLS handshake that is under way may take when the process drains.
const LAST_HANDSHAKE: Duration = Duration::from_secs(2);

/// How long a client may take for a request's head, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);

/// How long the last of the connections made while the process drains are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a connection made while the process drains may take for its request's head.
const FAREWELL: Duration = Duration::from_secs(5);

impl EdgeConfig {
    /// From what every mode reads. `role` is what this process is, say `proxy`.
    pub fn from_common(common: &CommonConfig, role: &str, address: SocketAddr) -> Self {
        let origins = match &common.allowed_origins {
            AllowedOrigins::Loopback => Origins::Loopback,
            AllowedOrigins::Any => Origins::Any,
            AllowedOrigins::Only(list) => Origins::new(list.iter().map(String::as_str)),
        };
        let mut config =
            Self::new("mcp-relay", env!("CARGO_PKG_VERSION"), (*common.session_key.bytes()).into());
        role.clone_into(&mut config.role);
        config.keys = Keys::from_digests(common.bearer_keys.digests());
        config.key_header = common.auth_header.as_deref().and_then(|name| HeaderName::try_from(name).ok());
        config.origins = origins;
        config.exposure = BindScope::of(address.ip());
        config.max_body = common.max_body_bytes;
        config.session_ttl = common.session_ttl;
        config.list_ttl = common.list_ttl;
        config.request_timeout = common.request_timeout;
        config.request_timeout_total = common.request_timeout_total;
        config
    }
}

/// Where clients connect.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
}

impl Port {
    /// A port that speaks TLS, if that is given.
    pub fn new(listener: TcpListener, tls: Option<Arc<ServerTls>>) -> Self {
        Self { listener, tls }
    }

    async fn accept(&self) -> (TcpStream, IpAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (stream, peer.ip()),
                Err(error) => {
                    // Out of descriptors, as a rule: wait for some to come free rather than spin.
                    tracing::warn!("Cannot accept a client connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl From<TcpListener> for Port {
    /// A plain one.
    fn from(listener: TcpListener) -> Self {
        Self::new(listener, None)
    }
}

/// Serves until the shutdown: idle connections close as soon as it drains, busy ones when their answers are
/// complete or the grace is over. New ones are told meanwhile that this process goes. Returns when no connection of
/// before is left. Without `ops` the operator's paths are unknown here: an [`OpsPort`] has them.
pub async fn serve<C: Calls>(
    port: impl Into<Port>,
    (edge, ops): (Arc<Edge<C>>, Option<Ops>),
    shutdown: &Shutdown,
) {
    let port = port.into();
    let service = Both { mcp: McpService::new(Arc::clone(&edge)), ops };
    // Each connection holds a receiver; when all are gone, `closed` resolves.
    let (alive, held) = watch::channel(());
    loop {
        tokio::select! {
            stream = port.accept() => {
                let (stream, peer) = stream;
                let came = (stream, port.tls.clone());
                tokio::spawn(connection(came, service.of(peer), (shutdown.clone(), held.clone())));
            }
            () = shutdown.draining() => break,
        }
    }
    edge.close();
    drop(held);
    let mut farewells = JoinSet::new();
    loop {
        tokio::select! {
            () = alive.closed() => break,
            stream = port.accept() => {
                farewells.spawn(farewell((stream.0, port.tls.clone()), service.of(stream.1)));
            }
            Some(_) = farewells.join_next() => {}
        }
    }
    drop(port);
    // Whoever was let in is told; those that say nothing are not waited for.
    let _ = timeout(LAST_WORDS, async { while farewells.join_next().await.is_some() {} }).await;
}

/// A connection, and the TLS that is to be spoken on it.
type Came = (TcpStream, Option<Arc<ServerTls>>);

async fn secured((stream, tls): Came) -> Option<MaybeTlsStream> {
    // Answers are small and wanted at once; a socket without it still works.
    let _ = stream.set_nodelay(true);
    match tls {
        None => Some(MaybeTlsStream::from(stream)),
        Some(tls) => {
            tls.accept(stream).await.map_err(|error| tracing::debug!("A client's TLS failed: {error}")).ok()
        }
    }
}

async fn connection<C: Calls>(
    came: Came,
    service: Both<C>,
    (shutdown, held): (Shutdown, watch::Receiver<()>),
) {
    let last = async {
        shutdown.draining().await;
        tokio::time::sleep(LAST_HANDSHAKE).await;
    };
    let stream = tokio::select! {
        stream = secured(came) => stream,
        () = last => None,
    };
    let Some(stream) = stream else { return };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).half_close(false);
    let mut serving = Settle::new(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // Errors here are the client's: it went away or does not speak HTTP. It was answered if it could be.
        _ = &mut serving => return,
        () = shutdown.draining() => Pin::new(serving.get_mut()).graceful_shutdown(),
    }
    tokio::select! {
        _ = &mut serving => {}
        () = shutdown.grace_over() => {}
    }
    drop(held);
}

/// One request on a connection made while the process drains: a refusal that says so, where a closed port would be
/// a "bad gateway" to whoever balances the load. Holds nothing up.
async fn farewell<C: Calls>(came: Came, service: Both<C>) {
    let Some(stream) = secured(came).await else { return };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(FAREWELL).keep_alive(false);
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

/// The operator's paths first, where they are here, then the edge.
struct Both<C> {
    mcp: McpService<C>,
    ops: Option<Ops>,
}

impl<C: Calls> Both<C> {
    /// For the connection of this client.
    fn of(&self, peer: IpAddr) -> Self {
        Self { mcp: self.mcp.of(peer), ops: self.ops.clone() }
    }
}

impl<C> Clone for Both<C> {
    fn clone(&self) -> Self {
        Self { mcp: self.mcp.clone(), ops: self.ops.clone() }
    }
}

type BothBody<C> = Either<AnswerBody<<C as Calls>::Stream>, Body>;

impl<C: Calls> Service<Request<Incoming>> for Both<C> {
    type Response = Response<BothBody<C>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if let Some((ops, access)) =
            self.ops.as_ref().and_then(|ops| Some((ops, ops.access(request.uri().path())?)))
        {
            let (mcp, ops) = (self.mcp.clone(), ops.clone());
            return Box::pin(async move {
                let config = &mcp.edge().config;
                Ok(ops_handler::answer((config, access), &ops, (request, mcp.peer()))
                    .await
                    .map(Either::Right))
            });
        }
        if self.mcp.edge().is_closed() {
            return Box::pin(async { Ok(refuse(&Refused::early(Failure::Draining)).map(Either::Left)) });
        }
        let answer = self.mcp.clone().call(request);
        Box::pin(async { answer.await.map(|response| response.map(Either::Left)) })
    }
}
