//! Serves the clients' port until the shutdown. Must not know what takes the calls.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use runtime::ops::Ops;
use runtime::shutdown::Shutdown;
use runtime::tls::MaybeTlsStream;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::admission::{Admission, LetIn};
use super::limits::{
    DRAIN_HANDSHAKE_TIMEOUT, DRAIN_HEADER_TIMEOUT, DRAIN_REPLY_TIMEOUT, MAX_BUFFERED, PARTING_TIMEOUT,
};
use super::open_stream::{OpenBody, OpenStream};
use super::ops_router::OpsRouter;
use super::port::{Accepted, Opened, Port};
use super::progress::{Overdue, Progress};
use super::request_router::{OfConnection, RequestRouter};
use super::stream::WatchedStream;
use super::upgrade::{AfterUpgrade, Pending};
use super::user_timeout;
use super::watched::Watched;
use crate::calls::Calls;
use crate::edge::Edge;
use crate::http::service::McpService;
use crate::metrics::{ClientRefusal, record_client_refusal};
use crate::repoll::RepollOnSelfWake;
use crate::usage::ConnectionShare;

/// A client's connection with its requests.
type ClientConnection<C> = http1::Connection<TokioIo<WatchedStream<MaybeTlsStream>>, RequestRouter<C>>;

/// A connection within its limits.
struct Admitted<C> {
    accepted: Accepted,
    service: RequestRouter<C>,
    progress: Progress,
    pending: Pending,
    /// Returned when the connection is closed.
    share: ConnectionShare,
}

/// An open connection.
struct Serving<C: Calls> {
    connection: Watched<RepollOnSelfWake<ClientConnection<C>>>,
    progress: Progress,
    pending: Pending,
    share: ConnectionShare,
}

/// What becomes of a connection.
enum Turn {
    Ended(Result<hyper::Result<()>, Overdue>),
    /// The head of a response was written whose body stays open.
    Open(OpenBody),
}

impl<C: Calls> Future for Serving<C> {
    type Output = Turn;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Turn> {
        let this = self.get_mut();
        if let Poll::Ready(ended) = Pin::new(&mut this.connection).poll(cx) {
            return Poll::Ready(Turn::Ended(ended));
        }
        let is_written = this.pending.has_head() && this.progress.is_flushed();
        match is_written.then(|| this.pending.take_body()).flatten() {
            Some(body) => Poll::Ready(Turn::Open(body)),
            None => Poll::Pending,
        }
    }
}

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
    let config = Arc::new(edge.config.clone());
    let ops = ops.map(|ops| OpsRouter::new(ops, Arc::clone(&config)).with_calls(Arc::clone(&edge), config));
    let admission = Admission::new(port.upgrades.as_ref());
    let service = RequestRouter::new(McpService::new(Arc::clone(&edge)), ops, port.upgrades.clone());
    let admit = |accepted| {
        let LetIn { accepted, share, beyond } = admission.admit(accepted, &edge)?;
        let (progress, pending) = (Progress::new(edge.config.limits.stall), Pending::default());
        let peer = accepted.peer;
        let of = OfConnection { peer, progress: progress.clone(), pending: pending.clone(), beyond };
        let service = service.of(of);
        Some(Admitted { accepted, service, progress, pending, share })
    };
    // Each connection holds a receiver; when all are dropped, `closed` resolves.
    let (open, receiver) = watch::channel(());
    loop {
        tokio::select! {
            accepted = port.accept() => {
                if let Some(admitted) = admit(accepted) {
                    let opening = Box::pin(open_connection(admitted, shutdown.clone()));
                    tokio::spawn(serve_connection(opening, shutdown.clone(), receiver.clone()));
                }
            }
            () = shutdown.draining() => break,
        }
    }
    edge.close();
    drop(receiver);
    refuse_rest(port, admit, open).await;
}

/// Refuses requests on new connections until all earlier connections are closed, then closes the port.
async fn refuse_rest<C: Calls>(
    port: Port,
    admit: impl Fn(Accepted) -> Option<Admitted<C>>,
    open: watch::Sender<()>,
) {
    let mut refusals = JoinSet::new();
    loop {
        tokio::select! {
            () = open.closed() => break,
            accepted = port.accept() => {
                if let Some(admitted) = admit(accepted) {
                    refusals.spawn(refuse_connection(admitted));
                }
            }
            Some(_) = refusals.join_next() => {}
        }
    }
    drop(port);
    // Accepted connections get their refusal; those that send no request are not waited for.
    let all = async { while refusals.join_next().await.is_some() {} };
    let _ = timeout(DRAIN_REPLY_TIMEOUT, all).await;
}

/// Opens one connection; `None`: there is none to serve. A future of its own, since a connection lasts and needs less than its opening.
async fn open_connection<C: Calls>(admitted: Admitted<C>, shutdown: Shutdown) -> Option<Serving<C>> {
    let Admitted { accepted, service, progress, pending, share } = admitted;
    let handshake_limit = async {
        shutdown.draining().await;
        sleep(DRAIN_HANDSHAKE_TIMEOUT).await;
    };
    let stream = tokio::select! {
        stream = accepted.handshake(progress.stall()) => stream,
        () = handshake_limit => None,
    };
    let Opened { stream, certificate } = stream?;
    let service = service.showing(certificate);
    let mut builder = http1::Builder::new();
    // The progress has the time limit of heads, since hyper's would end idle connections too.
    builder.header_read_timeout(None).half_close(false).max_buf_size(MAX_BUFFERED);
    let stream = WatchedStream::new(stream, progress.clone());
    let connection = RepollOnSelfWake::new(builder.serve_connection(TokioIo::new(stream), service));
    let connection = Watched::new(connection, progress.clone());
    Some(Serving { connection, progress, pending, share })
}

/// Serves one connection. Holds `open` until its last answer is complete. No `async fn`, whose future would hold its arguments twice.
#[allow(clippy::manual_async_fn, reason = "size")]
fn serve_connection<C: Calls>(
    opening: Pin<Box<impl Future<Output = Option<Serving<C>>> + Send>>,
    shutdown: Shutdown,
    open: watch::Receiver<()>,
) -> impl Future<Output = ()> + Send {
    async move {
        let Some(mut serving) = opening.await else { return };
        tokio::select! {
            turn = &mut serving => match turn {
                // Errors here are the client's: it went away or does not speak HTTP. It was answered if that was possible.
                Turn::Ended(ended) => {
                    let overdue = ended.as_ref().err().copied();
                    record_end(ended);
                    let Serving { connection, pending, share, .. } = serving;
                    if let Some(then) = pending.take() {
                        // From here on, the connection is none of a client's.
                        drop((share, open));
                        return hand_over(connection, then);
                    }
                    return Box::pin(part(connection, overdue)).await;
                }
                Turn::Open(body) => return serving.stay_open(body, shutdown, open),
            },
            () = shutdown.draining() => Pin::new(serving.connection.get_mut().get_mut()).graceful_shutdown(),
        }
        tokio::select! {
            turn = &mut serving => match turn {
                Turn::Ended(ended) => record_end(ended),
                Turn::Open(body) => return serving.stay_open(body, shutdown, open),
            },
            () = shutdown.grace_over() => {}
        }
        drop(serving);
        drop(open);
    }
}

impl<C: Calls> Serving<C> {
    /// Goes on with the open body of a response, in a task that has room for that alone.
    fn stay_open(self, body: OpenBody, shutdown: Shutdown, open: watch::Receiver<()>) {
        let Self { connection, progress, share, .. } = self;
        let stream = connection.into_inner().into_inner().into_parts().io.into_inner();
        let stream = Watched::new(OpenStream::new(stream, body), progress);
        tokio::spawn(async move {
            tokio::select! {
                ended = stream => record_end(ended),
                () = shutdown.grace_over() => {}
            }
            drop((share, open));
        });
    }
}

/// Passes a connection on that is no client's any more.
fn hand_over<C: Calls>(serving: Watched<RepollOnSelfWake<ClientConnection<C>>>, then: AfterUpgrade) {
    let parts = serving.into_inner().into_inner().into_parts();
    let stream = parts.io.into_inner().into_inner();
    // Whoever has it now has limits of its own.
    user_timeout::set(stream.tcp(), None);
    then(stream, parts.read_buf);
}

/// Tells a client that was not answered why its connection ends.
async fn part<C: Calls>(serving: Watched<RepollOnSelfWake<ClientConnection<C>>>, overdue: Option<Overdue>) {
    let stream = serving.into_inner().into_inner().into_parts().io.into_inner();
    if let Some((mut stream, words)) = stream.into_parting(overdue) {
        // The client may be gone.
        let _ = timeout(PARTING_TIMEOUT, async {
            stream.write_all(&words).await?;
            stream.shutdown().await
        })
        .await;
    }
}

/// Counts the end of a connection that the client is to blame for.
fn record_end<E: Error + 'static>(ended: Result<Result<(), E>, Overdue>) {
    match ended {
        Err(Overdue::Head) => record_client_refusal(ClientRefusal::HeaderTimeout),
        Err(Overdue::Stalled) => record_client_refusal(ClientRefusal::Stalled),
        Ok(Err(error)) if is_timed_out(&error) => record_client_refusal(ClientRefusal::Stalled),
        Ok(_) | Err(Overdue::Idle | Overdue::Lingered) => {}
    }
}

/// Returns whether the system gave the connection up, as what was written was not taken.
fn is_timed_out(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Answers one request on a connection that was accepted while the process drains. The answer is a refusal: a closed
/// port would be a "bad gateway" to load balancers. The shutdown does not wait for it.
async fn refuse_connection<C: Calls>(admitted: Admitted<C>) {
    let Admitted { accepted, service, progress, share, .. } = admitted;
    let Some(Opened { stream, .. }) = accepted.handshake(progress.stall()).await else { return };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(DRAIN_HEADER_TIMEOUT).keep_alive(false);
    let stream = WatchedStream::new(stream, progress.clone());
    let _ = Watched::new(builder.serve_connection(TokioIo::new(stream), service), progress).await;
    drop(share);
}
