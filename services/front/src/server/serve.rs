//! Serves the clients' port until the shutdown. Must not know what takes the calls.

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use runtime::ops::Ops;
use runtime::shutdown::Shutdown;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::limits::{DRAIN_HANDSHAKE_TIMEOUT, DRAIN_HEADER_TIMEOUT, DRAIN_REPLY_TIMEOUT, HEADER_TIMEOUT};
use super::ops_router::OpsRouter;
use super::port::{Accepted, Port};
use super::request_router::RequestRouter;
use crate::calls::Calls;
use crate::edge::Edge;
use crate::http::service::McpService;
use crate::repoll::RepollOnSelfWake;

/// Serves `edge` until the shutdown, and `ops` too, if given.
///
/// When the process drains, idle connections close at once, busy ones when their answers are complete or the grace is
/// over, and requests on new connections are refused. Returns when all earlier connections are closed.
pub async fn serve<C: Calls>(
    port: impl Into<Port>,
    edge: Arc<Edge<C>>,
    ops: Option<Ops>,
    shutdown: &Shutdown,
) {
    let port = port.into();
    let ops = ops.map(|ops| OpsRouter::new(ops, Arc::new(edge.config.clone())));
    let service = RequestRouter::new(McpService::new(Arc::clone(&edge)), ops);
    // Each connection holds a receiver; when all are dropped, `closed` resolves.
    let (open, receiver) = watch::channel(());
    loop {
        tokio::select! {
            accepted = port.accept() => {
                let service = service.of(accepted.peer);
                tokio::spawn(serve_connection(accepted, service, shutdown.clone(), receiver.clone()));
            }
            () = shutdown.draining() => break,
        }
    }
    edge.close();
    drop(receiver);
    let mut refusals = JoinSet::new();
    loop {
        tokio::select! {
            () = open.closed() => break,
            accepted = port.accept() => {
                let service = service.of(accepted.peer);
                refusals.spawn(refuse_connection(accepted, service));
            }
            Some(_) = refusals.join_next() => {}
        }
    }
    drop(port);
    // Accepted connections get their refusal; those that send no request are not waited for.
    let all = async { while refusals.join_next().await.is_some() {} };
    let _ = timeout(DRAIN_REPLY_TIMEOUT, all).await;
}

/// Serves one connection. Holds `open` until its last answer is complete.
async fn serve_connection<C: Calls>(
    accepted: Accepted,
    service: RequestRouter<C>,
    shutdown: Shutdown,
    open: watch::Receiver<()>,
) {
    let handshake_limit = async {
        shutdown.draining().await;
        sleep(DRAIN_HANDSHAKE_TIMEOUT).await;
    };
    let stream = tokio::select! {
        stream = accepted.handshake() => stream,
        () = handshake_limit => None,
    };
    let Some(stream) = stream else { return };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).half_close(false);
    let mut serving = RepollOnSelfWake::new(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // Errors here are the client's: it went away or does not speak HTTP. It was answered if that was possible.
        _ = &mut serving => return,
        () = shutdown.draining() => Pin::new(serving.get_mut()).graceful_shutdown(),
    }
    tokio::select! {
        _ = &mut serving => {}
        () = shutdown.grace_over() => {}
    }
    drop(open);
}

/// Answers one request on a connection that was accepted while the process drains. The answer is a refusal: a closed
/// port would be a "bad gateway" to load balancers. The shutdown does not wait for it.
async fn refuse_connection<C: Calls>(accepted: Accepted, service: RequestRouter<C>) {
    let Some(stream) = accepted.handshake().await else { return };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(DRAIN_HEADER_TIMEOUT).keep_alive(false);
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}
