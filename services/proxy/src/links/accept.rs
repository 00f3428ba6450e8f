//! The WebSocket port: accepts connections, authenticates them, and passes them to a link's task. Must not know calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use link::OpeningFault;
use protocol::link::handshake::{AuthReply, close};
use protocol::link::limits::{MAX_AUTH, MAX_BATCH};
use runtime::tls::{MaybeTlsStream, ServerTls};
use runtime::trusted::TrustedProxies;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::admission::{Admission, Rejected, Unauthenticated};
use super::auth::{self, AuthError, Authenticated, Socket, TRY_AGAIN_LATER};
use super::link_task::{LinkTimes, run_link};
use super::registration::Registered;
use super::registry::Registry;
use super::{audit, code_watch, refusal, second_look, stranger};
use crate::access::{AccessDenied, CodeStore};
use crate::metrics;

/// Wait after a failed accept, whose usual cause is a lack of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Close code of a connection that is no longer needed.
const NORMAL: u16 = 1000;

/// The configuration and shared state of the WebSocket port.
pub(crate) struct AcceptContext {
    pub(crate) registry: Arc<Registry>,
    pub(crate) codes: Arc<CodeStore>,
    /// The admission of connections, those of the clients' port included.
    pub(crate) admission: Admission,
    /// `TRUSTED_PROXIES`: the networks whose forwarding headers are trusted.
    pub(crate) trusted: TrustedProxies,
    /// TLS of the port, if it is on.
    pub(crate) tls: Option<Arc<ServerTls>>,
    pub(crate) times: LinkTimes,
    /// Largest answer of a plain slave, in bytes; an answer is one text frame.
    pub(crate) plain_answer: usize,
}

/// Accepts slaves until the future is dropped.
pub(crate) async fn serve_slaves(listener: TcpListener, context: Arc<AcceptContext>) {
    let admission = &context.admission;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match admission.admit(peer.ip(), &context.trusted, Instant::now()) {
                Ok(share) => {
                    let context = Arc::clone(&context);
                    tokio::spawn(serve_connection(Connected { stream, peer, share }, context));
                }
                Err(rejected) => on_rejected(stream, peer, rejected, &context),
            },
            Err(error) => {
                tracing::warn!("Cannot accept a slave connection: {error}");
                sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// Rejects a connection, unless it comes too early and says that its slave is in use, for which clients may wait. Returns at once.
fn on_rejected(stream: TcpStream, peer: SocketAddr, rejected: Rejected, context: &Arc<AcceptContext>) {
    let admission = &context.admission;
    // With TLS, an answer would require a handshake: the connection is closed without one.
    if context.tls.is_some() {
        return refusal::record_rejected(peer, rejected, admission);
    }
    let Some(look) = admission.second_look(rejected) else {
        refusal::record_rejected(peer, rejected, admission);
        return admission.reject(stream, rejected);
    };
    let context = Arc::clone(context);
    tokio::spawn(async move {
        let admission = &context.admission;
        let is_in_use = second_look::says_in_use(&stream).await;
        drop(look);
        let admit = || admission.admit_in_use(peer.ip(), &context.trusted, Instant::now());
        match if is_in_use { admit() } else { Err(rejected) } {
            Ok(share) => serve_connection(Connected { stream, peer, share }, context).await,
            Err(rejected) => {
                refusal::record_rejected(peer, rejected, admission);
                admission.reject(stream, rejected);
            }
        }
    });
}

/// A connection that was let in.
struct Connected {
    stream: TcpStream,
    peer: SocketAddr,
    /// Returned when the connection has authenticated, or has failed to.
    share: Unauthenticated,
}

async fn serve_connection(connected: Connected, context: Arc<AcceptContext>) {
    // Boxed, since a handshake needs much more than the link that follows, which lasts.
    if let Some((socket, registered)) = Box::pin(handshake(connected, &context)).await {
        run_link(socket, registered, &context.registry, context.times).await;
    }
}

/// Runs the opening handshake and the authentication. `None`: the connection has ended, and the reason was logged.
async fn handshake(connected: Connected, context: &AcceptContext) -> Option<(Socket, Registered)> {
    let Connected { stream, peer, share } = connected;
    let opened = timeout(auth::AUTH_TIMEOUT, open(stream, peer, context)).await;
    let opened = opened.unwrap_or_else(|_| Err(Unopened::Failed(AuthError::NoRequest)));
    match opened {
        Ok(opened) => enter(opened, peer, share, context).await,
        Err(Unopened::Failed(error)) => {
            refusal::record_attempt(peer);
            refusal::report(peer, &error);
            None
        }
        Err(Unopened::Stranger(fault, stream)) => {
            refusal::report_stranger(peer, &fault);
            stranger::answer(stream, &fault).await;
            None
        }
    }
}

/// Serves a WebSocket of the clients' port that was let in with this share. `peer` is the other end of the connection.
pub(super) async fn serve_opened(
    opened: Opened,
    peer: SocketAddr,
    share: Unauthenticated,
    context: Arc<AcceptContext>,
) {
    if let Some((socket, registered)) = Box::pin(enter(opened, peer, share, &context)).await {
        run_link(socket, registered, &context.registry, context.times).await;
    }
}

/// Authenticates and registers the slave of a WebSocket. `None`: the connection has ended, and the reason was logged.
async fn enter(
    opened: Opened,
    peer: SocketAddr,
    share: Unauthenticated,
    context: &AcceptContext,
) -> Option<(Socket, Registered)> {
    let Opened { mut socket, peer: origin, certificate } = opened;
    let admission = &context.admission;
    let forwarded = context.trusted.trusts(peer.ip()) && origin.ip() != peer.ip().to_canonical();
    let forwarded = forwarded.then(|| admission.admit_forwarded(origin.ip(), Instant::now())).transpose();
    let authenticated = match forwarded {
        Ok(_share) => auth::authenticate(&mut socket, certificate, &context.codes).await,
        Err(rejected) => Err(AuthError::Rejected(rejected)),
    };
    // A wrong code that waits for its answer takes no place from others.
    drop(share);
    match authenticated {
        Ok(authenticated) => register(socket, origin, authenticated, context).await,
        Err(error) => {
            refuse(socket, origin, error, admission).await;
            None
        }
    }
}

/// Answers a connection that did not authenticate, and closes it.
async fn refuse(mut socket: Socket, peer: SocketAddr, error: AuthError, admission: &Admission) {
    refusal::record_attempt(peer);
    refusal::report(peer, &error);
    if let AuthError::NotAllowed { denied, code } = &error {
        if let AccessDenied::Code(_) = denied {
            admission.delay(peer.ip(), *code).await;
        }
        // The peer may have disconnected already; the log contains the reason.
        let _ = auth::send_reply(&mut socket, &AuthReply::failed_because(&denied.to_string())).await;
    }
    if let Some(code) = error.close_code() {
        socket.close(code, &error.to_string()).await;
    }
}

/// A connection after its opening handshake.
pub(super) struct Opened {
    pub(super) socket: Socket,
    /// Address of the slave, as trusted proxies report it.
    pub(super) peer: SocketAddr,
    /// Digest of the certificate that the slave presented.
    pub(super) certificate: Option<[u8; 32]>,
}

/// Why a connection has no WebSocket.
enum Unopened {
    Failed(AuthError),
    /// The peer asked for something else, or for nothing.
    Stranger(OpeningFault, MaybeTlsStream),
}

/// Runs the TLS handshake, if TLS is on, and the opening handshake.
async fn open(stream: TcpStream, peer: SocketAddr, context: &AcceptContext) -> Result<Opened, Unopened> {
    // Sends small frames without delay, because calls wait for them. The link works even if this fails.
    let _ = stream.set_nodelay(true);
    let stream = match &context.tls {
        Some(tls) => tls.accept(stream).await.map_err(|error| Unopened::Failed(AuthError::Tls(error)))?,
        None => MaybeTlsStream::from(stream),
    };
    let certificate = stream.peer_certificate();
    let mut origin = peer.ip();
    let inspect =
        |request: &link::HandshakeRequest| origin = context.trusted.client(peer.ip(), request.headers());
    let socket = link::accept(stream, MAX_AUTH, inspect)
        .await
        .map_err(|(fault, stream)| Unopened::Stranger(fault, stream))?;
    // Behind an ingress, the port belongs to the ingress and does not identify the peer.
    let peer = if origin == peer.ip().to_canonical() { peer } else { SocketAddr::new(origin, 0) };
    Ok(Opened { socket, peer, certificate })
}

/// Registers an authenticated slave and answers it. `None`: the connection was a probe or is not needed, or the registry is
/// full.
async fn register(
    mut socket: Socket,
    peer: SocketAddr,
    authenticated: Authenticated,
    context: &AcceptContext,
) -> Option<(Socket, Registered)> {
    let Authenticated { hello, grant } = authenticated;
    if hello.as_ref().is_some_and(|hello| context.registry.is_linked_here(hello, grant.identity())) {
        // A load balancer led the slave here again; its existing link stays as it is.
        tracing::debug!(%peer, "New slave connection attempt, of a slave that looks for other proxies: it is linked to this one");
        audit::asked(peer, "already_linked");
        socket.close(close::ALREADY_LINKED, "linked already").await;
        return None;
    }
    refusal::record_attempt(peer);
    if let Some(hello) = hello.as_ref().filter(|hello| hello.probe) {
        let reply = AuthReply::success(Some(auth::hello_for(hello, &context.registry, None)));
        if let Err(error) = auth::send_reply(&mut socket, &reply).await {
            refusal::report(peer, &error);
            return None;
        }
        tracing::info!(%peer, "Slave code accepted for a probe (mcp-relay doctor)");
        audit::asked(peer, "probe");
        socket.close(NORMAL, "probe").await;
        return None;
    }
    match context.registry.register(hello.as_ref(), grant) {
        Ok(registered) => {
            let dialect = if hello.is_some() { "native" } else { "plain" };
            on_registered(&registered, peer, dialect, context);
            let hello = hello.map(|hello| auth::hello_for(&hello, &context.registry, Some(&registered)));
            socket.set_max_message(if hello.is_some() { MAX_BATCH } else { context.plain_answer });
            // A failure shows again when the link runs, which then ends as any other.
            let reply = AuthReply::success(hello);
            let _ = timeout(auth::AUTH_TIMEOUT, auth::send_reply(&mut socket, &reply)).await;
            Some((socket, registered))
        }
        Err(full) => {
            refusal::record_full(peer, full.kind(), &full.to_string());
            socket.close(TRY_AGAIN_LATER, &full.to_string()).await;
            None
        }
    }
}

fn on_registered(registered: &Registered, peer: SocketAddr, dialect: &'static str, context: &AcceptContext) {
    let slave = &registered.slave;
    slave.info.on_connected(peer);
    metrics::record_connect(&slave.name, dialect);
    audit::linked(peer, slave, dialect);
    let grant = slave.grant();
    let identity = grant.identity();
    tracing::info!(%peer, slave = slave.name, id = slave.id(), %identity, labels = ?grant.labels, dialect, "Slave authenticated successfully");
    // The codes may have changed since the slave's code was checked, and that change did not check this slave.
    if code_watch::review(&context.codes, slave) {
        context.registry.publish_change(slave);
    }
}
