//! The stream of a session of 2024-11-05: the endpoint, then the answers to what the client posts, changes of lists, updates of resources
//! and comments. The session ends with its stream. Must not know how a message is run.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt, stream};
use protocol::link::header::{CallHeader, Purpose};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::subscription::ListenEvent;
use tokio::time::{sleep, timeout};

use super::answers::Answers;
use super::requests::{Agreed, Answered, StreamClient, run};
use crate::calls::{Calls, Updates};
use crate::edge::{Edge, unix_now};
use crate::http::context::RequestContext;
use crate::http::listen::{COMMENT, Listening};
use crate::http::response_stream::BodyAborted;
use crate::open_streams::{OpenStream, SealedPosts};
use crate::session::Session;
use crate::usage::StreamShare;

/// Longest time until the endpoint is named, in which slaves get ready to carry messages of other replicas.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// Body of a stream.
pub(in crate::http) type SessionStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyAborted>> + Send>>;

/// State of a stream.
struct State<C: Calls> {
    edge: Weak<Edge<C>>,
    client: Arc<StreamClient>,
    agreed: Agreed,
    listening: Listening,
    open: OpenStream,
    /// Messages that other replicas got.
    carried: Updates,
    sealed: SealedPosts,
    /// Message that is being begun: one after the other, so that a cancellation finds its call.
    beginning: Option<BoxFuture<'static, Answered<C::Stream>>>,
    answers: Answers<C>,
    keepalive: Duration,
    _end: SessionEnd<C>,
}

/// Ends the session when it is dropped.
struct SessionEnd<C: Calls> {
    edge: Weak<Edge<C>>,
    session: Session,
}

impl<C: Calls> Drop for SessionEnd<C> {
    fn drop(&mut self) {
        if let Some(edge) = self.edge.upgrade() {
            edge.end_session(&self.session);
        }
    }
}

/// Opens the stream of a new session. Returns once posts can reach it from everywhere.
pub(super) async fn open<C: Calls>(
    context: &RequestContext<'_, C>,
    session: Session,
    endpoint: &str,
    share: StreamShare,
) -> SessionStream {
    let edge = context.edge;
    let mut carried = inbox(context, &session);
    let _ = timeout(READY_TIMEOUT, carried.next()).await;
    let state = State {
        edge: Arc::downgrade(edge),
        client: Arc::new(StreamClient {
            session: session.clone(),
            headers: context.headers.clone(),
            credential: context.credential.clone(),
            principal: context.principal,
            peer: context.peer,
        }),
        agreed: Agreed { version: Version::V2024_11_05, capabilities: None },
        listening: Listening::new(context, Some(&session), share),
        open: edge.open_streams.open(session.id),
        carried,
        sealed: SealedPosts::default(),
        beginning: None,
        answers: Answers::new(Arc::downgrade(edge), session.key()),
        keepalive: edge.config.keepalive,
        _end: SessionEnd { edge: Arc::downgrade(edge), session },
    };
    let first = Ok(Bytes::from(format!("event: endpoint\ndata: {endpoint}\n\n")));
    Box::pin(stream::once(std::future::ready(first)).chain(stream::unfold(Some(state), next)))
}

/// Listens for messages that reach other replicas.
fn inbox<C: Calls>(context: &RequestContext<'_, C>, session: &Session) -> Updates {
    let header = CallHeader {
        purpose: Purpose::Inbox,
        session: Some(session.key()),
        ..CallHeader::new("inbox", Era::Legacy, session.version)
    };
    context.edge.calls.updates(header, Bytes::new(), context.call_context())
}

/// What happened to a stream.
enum Happened<S> {
    /// Bytes for the client that are no answer.
    Notice(Option<Bytes>),
    Posted(Option<Bytes>),
    FromCarrier(Option<ListenEvent>),
    Begun(Answered<S>),
    Answered(Result<(), BodyAborted>),
    Closing,
}

async fn next<C: Calls>(state: Option<State<C>>) -> Option<(Result<Bytes, BodyAborted>, Option<State<C>>)> {
    let mut state = state?;
    loop {
        if let Some(bytes) = state.answers.pop() {
            return Some((Ok(bytes), Some(state)));
        }
        match happened(&mut state).await {
            Happened::Notice(bytes) => return bytes.map(|bytes| (Ok(bytes), Some(state))),
            Happened::Posted(message) => state.begin(message?),
            Happened::FromCarrier(Some(ListenEvent::Posted(text))) => state.take(&text),
            Happened::FromCarrier(None) => state.carried = Box::pin(stream::pending()),
            Happened::Begun(answered) => {
                state.beginning = None;
                if let Answered::Initialized { agreed, .. } = &answered {
                    state.agreed = agreed.clone();
                }
                state.answers.add(answered);
            }
            Happened::FromCarrier(Some(_)) | Happened::Answered(Ok(())) => {}
            Happened::Answered(Err(aborted)) => return Some((Err(aborted), None)),
            Happened::Closing => return None,
        }
    }
}

async fn happened<C: Calls>(state: &mut State<C>) -> Happened<C::Stream> {
    let is_idle = state.answers.is_empty() && state.beginning.is_none();
    let State { listening, open, carried, beginning, answers, keepalive, .. } = state;
    if answers.is_within_message() {
        return Happened::Answered(std::future::poll_fn(|cx| answers.poll(cx)).await);
    }
    let may_begin = beginning.is_none() && answers.has_room();
    let begun = async {
        match beginning {
            Some(begun) => begun.await,
            None => std::future::pending().await,
        }
    };
    let mut closing = listening.closing();
    tokio::select! {
        biased;
        _ = closing.wait_for(|closing| *closing), if is_idle => Happened::Closing,
        told = listening.next_event() => Happened::Notice(told),
        answered = begun => Happened::Begun(answered),
        message = open.next(), if may_begin => Happened::Posted(message),
        event = carried.next(), if may_begin => Happened::FromCarrier(event),
        polled = std::future::poll_fn(|cx| answers.poll(cx)) => Happened::Answered(polled),
        () = sleep(*keepalive) => Happened::Notice(Some(Bytes::from_static(COMMENT))),
    }
}

impl<C: Calls> State<C> {
    fn begin(&mut self, message: Bytes) {
        self.beginning = Some(run(&self.edge, &self.client, self.agreed.clone(), message));
    }

    /// Takes a sealed message that came through a slave.
    fn take(&mut self, text: &Bytes) {
        let Some(edge) = self.edge.upgrade() else { return };
        let StreamClient { session, principal, .. } = &*self.client;
        match self.sealed.open(&edge.sealer, principal, &session.id, text, unix_now()) {
            Some(message) => self.begin(message),
            None => {
                tracing::debug!("Dropped a message for a stream that is not its own, or was taken before");
            }
        }
    }
}
