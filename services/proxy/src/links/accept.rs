//! The WebSocket port: accepts connections, authenticates them, and hands them to a link's task.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::link::handshake::{AuthReply, close};
use protocol::link::ids::InstanceId;
use protocol::link::limits::{MAX_AUTH, MAX_BATCH};
use runtime::tls::{MaybeTlsStream, ServerTls};
use runtime::trusted::TrustedProxies;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::admission::Admission;
use super::audit;
use super::auth::{self, About, Refused, Socket};
use super::code_watch;
use super::pump::{Departure, Pump};
use super::registry::{Registered, Registry};
use crate::access::{AccessDenied, CodeStore, Grant, InvalidCode};
use crate::balance::outliers::Outcome;
use crate::metrics;

/// Connections that may be between TCP accept and authentication at once.
const MOST_STRANGERS: usize = 1024;

/// Read buffer of a link, in bytes: allocated for each, idle or not.
const READ_BUFFER: usize = 16 * 1024;

/// What the WebSocket port needs to know.
pub(crate) struct Backdoor {
    pub(crate) registry: Arc<Registry>,
    pub(crate) codes: Arc<CodeStore>,
    /// `HANDSHAKE_RATE`.
    pub(crate) handshake_rate: u32,
    /// `TRUSTED_PROXIES`.
    pub(crate) trusted: TrustedProxies,
    /// What is spoken below the WebSocket, if it is TLS.
    pub(crate) tls: Option<Arc<ServerTls>>,
    pub(crate) instance: String,
    pub(crate) ping_interval: Duration,
    pub(crate) ping_timeout: Duration,
    /// `LINK_LATE_MS`: a longer round trip makes a slave degraded.
    pub(crate) late: Duration,
    /// Largest answer of a plain slave, in bytes: it comes as one text frame.
    pub(crate) plain_answer: usize,
}

/// Accepts slaves until the task is dropped.
pub(crate) async fn serve_slaves(listener: TcpListener, back: Arc<Backdoor>) {
    let strangers = Arc::new(Semaphore::new(MOST_STRANGERS));
    let mut admission = Admission::new(back.handshake_rate, Instant::now());
    loop {
        let Ok(permit) = Arc::clone(&strangers).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(seconds) = admission.ask(Instant::now()) {
                    turn_away(&mut admission, (stream, peer), (seconds, &back));
                    continue;
                }
                let back = Arc::clone(&back);
                tokio::spawn(async move {
                    let admitted = welcome(stream, peer, &back).await;
                    drop(permit);
                    if let Some((socket, admitted)) = admitted {
                        carry(socket, admitted, &back).await;
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, as a rule: wait for some to come free rather than spin.
                tracing::warn!("Cannot accept a slave connection: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Over the rate: as little as possible is done for it. With TLS a word would cost a handshake: it is closed.
fn turn_away(
    admission: &mut Admission,
    (stream, peer): (TcpStream, SocketAddr),
    (seconds, back): (u64, &Backdoor),
) {
    metrics::record_auth_failure("rate");
    audit::refused(peer, "rate", || format!("come again in {seconds} s"));
    tracing::debug!(%peer, "Slave connection sent away for {seconds} s");
    if admission.worth_saying(Instant::now()) {
        tracing::warn!("Slaves connect faster than HANDSHAKE_RATE: some are told to come again later");
    }
    if back.tls.is_none() {
        admission.send_away(stream, seconds);
    }
}

async fn welcome(stream: TcpStream, peer: SocketAddr, back: &Backdoor) -> Option<(Socket, Registered)> {
    tracing::info!(%peer, "New slave connection attempt");
    let mut origin = peer.ip();
    // Small frames at once: a call is waiting behind each. Without it the link still works.
    let _ = stream.set_nodelay(true);
    let strict = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_AUTH)
        .max_message_size(Some(MAX_AUTH))
        .max_frame_size(Some(MAX_AUTH));
    let upgrade = async {
        let wire = match &back.tls {
            Some(tls) => tls.accept(stream).await.map_err(Refused::Tls)?,
            None => MaybeTlsStream::from(stream),
        };
        #[expect(clippy::result_large_err, reason = "tungstenite says what a callback returns")]
        let look = |request: &Request, response: Response| {
            origin = back.trusted.client(peer.ip(), request.headers());
            Ok(response)
        };
        Ok(tokio_tungstenite::accept_hdr_async_with_config(wire, look, Some(strict)).await?)
    };
    let mut socket = match timeout(auth::AUTH_TIMEOUT, upgrade).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => {
            refused(peer, &error);
            return None;
        }
        Err(_) => {
            refused(peer, &Refused::Silent);
            return None;
        }
    };
    // The port is that of the ingress: it names nothing.
    let peer = if origin == peer.ip().to_canonical() { peer } else { SocketAddr::new(origin, 0) };
    match auth::authenticate(&mut socket, &back.codes).await {
        Ok(newcomer) => enter(socket, peer, (newcomer, back)).await,
        Err(error) => {
            refused(peer, &error);
            if let Refused::NotAllowed(why) = &error {
                // The peer may be gone already; the log says what there is to say.
                let _ = auth::answer(&mut socket, &AuthReply::failed_because(&why.to_string())).await;
            }
            if let Some(code) = error.close_code() {
                auth::close_with(socket, code, &error.to_string()).await;
            }
            None
        }
    }
}

fn refused(peer: SocketAddr, error: &Refused) {
    metrics::record_auth_failure(error.kind());
    audit::refused(peer, error.kind(), || error.to_string());
    if let Refused::NotAllowed(AccessDenied::Code(InvalidCode::Unknown)) = error {
        tracing::warn!(%peer, "Invalid slave code: it must be one of SLAVE_CODES or SLAVE_CODES_FILE, letter case included");
    } else {
        tracing::warn!(%peer, "Slave connection refused: {error}");
    }
}

type Newcomer = (Option<protocol::link::handshake::SlaveHello>, Grant);

async fn enter(
    mut socket: Socket,
    peer: SocketAddr,
    ((hello, grant), back): (Newcomer, &Backdoor),
) -> Option<(Socket, Registered)> {
    let (limits, peers) = (back.registry.limits(), back.registry.peers());
    let own = peers.own();
    let linked = hello.iter().flat_map(|hello| hello.linked.iter().flatten());
    if linked.filter_map(|id| InstanceId::parse(id)).any(|id| id == own) {
        // A load balancer led it here again: its link stays as it is.
        tracing::debug!(%peer, "Slave looks for other proxies: it is linked to this one");
        audit::asked(peer, "already_linked");
        auth::close_with(socket, close::ALREADY_LINKED, "linked already").await;
        return None;
    }
    let about = About {
        peers: peers.known(),
        instance: back.instance.clone(),
        grace_ms: u64::try_from(limits.grace.as_millis()).unwrap_or(u64::MAX),
        window: u32::try_from(limits.window).unwrap_or(u32::MAX),
    };
    let reply = AuthReply::success(hello.as_ref().map(|hello| auth::hello_for(hello, &about)));
    if let Err(error) = auth::answer(&mut socket, &reply).await {
        refused(peer, &error);
        return None;
    }
    if hello.as_ref().is_some_and(|hello| hello.probe) {
        tracing::info!(%peer, "Slave code accepted for a probe (mcp-relay doctor)");
        audit::asked(peer, "probe");
        auth::close_with(socket, 1000, "probe").await;
        return None;
    }
    let admitted = match back.registry.register(hello.as_ref(), grant) {
        Ok(admitted) => admitted,
        Err(full) => {
            metrics::record_auth_failure("full");
            audit::refused(peer, "full", || full.to_string());
            tracing::warn!(%peer, "Slave turned away: {full}");
            auth::close_with(socket, 1013, &full.to_string()).await;
            return None;
        }
    };
    admitted.slave.info.on_connected(peer);
    let dialect = if hello.is_some() { "native" } else { "plain" };
    metrics::record_connect(&admitted.slave.name, dialect);
    audit::linked(peer, &admitted.slave, dialect);
    let grant = admitted.slave.grant();
    let identity = grant.identity_or_dash();
    tracing::info!(%peer, slave = admitted.slave.name, identity, labels = ?grant.labels, dialect, "Slave authenticated successfully");
    // The codes may have changed since this one was looked at, and this slave was not among those looked at then.
    if code_watch::review(&back.codes, &admitted.slave) {
        back.registry.publish_change(&admitted.slave);
    }
    let config = link_config(if hello.is_some() { MAX_BATCH } else { back.plain_answer });
    // A slave says nothing between its auth message and our answer: no bytes can be lost in between.
    let socket = WebSocketStream::from_raw_socket(socket.into_inner(), Role::Server, Some(config)).await;
    Some((socket, admitted))
}

fn link_config(message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * message + MAX_BATCH)
        .max_message_size(Some(message))
        .max_frame_size(Some(message))
}

/// Runs the link until it is gone, then looks after its calls until none is waited for.
async fn carry(socket: Socket, admitted: Registered, back: &Backdoor) {
    let (Registered { slave, generation }, since) = (admitted, Instant::now());
    let mut pump = Pump::new(socket, (Arc::clone(&slave), generation), back);
    let departure = (&mut pump).await;
    let now = Instant::now();
    metrics::record_disconnect(&slave.name, departure.kind());
    audit::closed(&slave, &departure, since);
    slave.health.on_disconnect(departure.kind(), departure.to_string());
    if matches!(departure, Departure::Protocol(_)) {
        back.registry.record_outcome(&slave, Outcome::Failure(departure.kind()));
    }
    if matches!(departure, Departure::Drained) && slave.is_current(generation) {
        slave.mark_dead(now);
    }
    let current = slave.link_down(generation, now);
    if current {
        tracing::info!(slave = slave.name, calls = slave.calls(), "Active slave disconnected: {departure}");
        back.registry.peers().withdraw(slave.key, now);
        back.registry.publish_change(&slave);
    }
    // The socket goes now, not when the slave's grace is over: descriptors are few, and the slave waits for our close.
    match (&departure, departure.close_code()) {
        (_, Some(code)) => auth::close_with(pump.into_socket(), code, &departure.to_string()).await,
        (Departure::Closed | Departure::Drained, None) => {
            auth::close_with(pump.into_socket(), close::GOING_AWAY, "").await;
        }
        _ => drop(pump),
    }
    if current {
        wait_for_return(&slave, generation, back).await;
    }
}

async fn wait_for_return(slave: &super::Slave, generation: u64, back: &Backdoor) {
    while slave.is_current(generation) {
        let timers = slave.poll_timers(Instant::now());
        metrics::record_timeouts(timers.timed_out);
        let Some(next) = timers.next else {
            back.registry.forget(slave);
            return;
        };
        sleep(next.saturating_duration_since(Instant::now())).await;
    }
}

impl Departure {
    fn close_code(&self) -> Option<u16> {
        match self {
            Self::Replaced => Some(close::REPLACED),
            Self::Asked(farewell) => Some(farewell.code()),
            Self::Protocol(_) => Some(close::PROTOCOL_ERROR),
            Self::Closed | Self::Drained | Self::Silent | Self::Lost(_) => None,
        }
    }
}
