//! The interface between the edge and what executes calls: a proxy implements it with slaves, a slave with its own
//! backends. Must not know either.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

pub use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, stream};
use policy::Requester;
use protocol::link::call::ResponseEvent;
use protocol::link::header::CallHeader;
use protocol::link::known_client::KnownClient;
use protocol::mcp::failure::Failure;
use protocol::mcp::log_level::LogLevel;
use protocol::mcp::subscription::ListenEvent;
use runtime::keys::Key;
use tokio::sync::watch;

pub use crate::listing::{Completeness, EntryListing, Listing};
use crate::principal::{Credential, Principal};

/// Origin of a call, for routing rules and limits. Never logged.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    /// Identity that the client's credential stands for.
    pub principal: Principal,
    /// What the client presented.
    pub credential: &'a Credential,
    /// Headers of the HTTP request, unaltered.
    pub headers: &'a HeaderMap,
    /// Address of the client, where it is known.
    pub peer: Option<IpAddr>,
}

impl CallContext<'_> {
    /// Returns the client's key, where one was presented.
    pub fn key(&self) -> Option<&Key> {
        self.credential.key.as_deref()
    }

    /// Returns the identity whose use limits count ([`Credential::counted_principal`]).
    pub fn counted_principal(&self) -> Principal {
        let counted = self.credential.counted_principal();
        if counted == Principal::ANYONE { self.principal } else { counted }
    }

    /// Returns what stands for the client: its key, else the session (the key of call headers), else the address; `None` for
    /// a client of which none is known.
    pub fn client<'s>(&self, session: Option<&'s str>) -> Option<KnownClient<&'s str>> {
        if self.principal != Principal::ANYONE {
            return Some(KnownClient::Key(self.principal.digest()));
        }
        session.map(KnownClient::Session).or_else(|| self.peer.map(KnownClient::Address))
    }

    /// Returns whether a client is known by its address alone, or by nothing.
    pub(crate) fn client_is_address(&self, session: Option<&str>) -> bool {
        self.principal == Principal::ANYONE && session.is_none()
    }

    /// Returns the client as rules of the policy see it.
    pub fn requester(&self) -> Requester<'_> {
        self.credential.requester()
    }

    /// Returns the context of a call that did not come over HTTP: no identity, no address.
    pub fn anonymous(headers: &HeaderMap) -> CallContext<'_> {
        CallContext { principal: Principal::ANYONE, credential: &Credential::ANONYMOUS, headers, peer: None }
    }
}

/// Updates of resources for one client. The first event is [`ListenEvent::Watching`], once everybody who can tell of updates at the moment
/// has said so; updates may come at any time. Dropping the stream ends it. A stream that ends before it is dropped has nobody left who could
/// tell.
pub type Updates = Pin<Box<dyn Stream<Item = ListenEvent> + Send>>;

/// Implementation of tool calls behind an edge.
pub trait Calls: Send + Sync + 'static {
    /// Events of one call. Taking an event acknowledges it, which gives back-pressure: nothing is sent to a client
    /// that does not read. Dropping the stream before its last event cancels the call of a modern client, and leaves
    /// the call of a legacy client running (2025-11-25, Transports, "Sending Messages to the Server": a disconnect is
    /// no cancellation).
    type Stream: Stream<Item = ResponseEvent> + Send + Unpin + 'static;

    /// Returns the current lists and their changes.
    fn listing(&self) -> watch::Receiver<Arc<Listing>>;

    /// Begins a call with the client's whole JSON-RPC message. `context` serves routing and limits and is not passed
    /// to slaves. A call that fails ends with exactly one [`ResponseEvent::Failed`].
    fn call(&self, header: CallHeader, message: Bytes, context: CallContext<'_>) -> Self::Stream;

    /// Cancels the call that this session began under this request id, as raw JSON, wherever the call runs (legacy
    /// `notifications/cancelled`). Unknown ids are ignored, as the specification asks.
    /// `reason` is why, in the client's words.
    fn cancel(&self, session: &str, request_id: &str, reason: Option<&str>);

    /// Passes on that the client of this session wants log messages of this level and more severe ones from now on (legacy
    /// `logging/setLevel`).
    fn set_log_level(&self, session: &str, level: LogLevel);

    /// Passes on a notification of this session's client, for backends that run for this session alone. `message` is the client's.
    fn notify(&self, _session: &str, _message: &Bytes) {}

    /// Releases everything that is kept for a session that its client ended.
    fn end_session(&self, session: &str);

    /// Listens for updates of the resources that a modern client's `subscriptions/listen` names, or else of those that the header's
    /// session subscribed to. The header's purpose is [`Listen`](protocol::link::header::Purpose::Listen). Begins at once, also before the
    /// stream is polled.
    fn updates(&self, _header: CallHeader, _message: Bytes, _context: CallContext<'_>) -> Updates {
        Box::pin(stream::empty())
    }

    /// Hands a sealed message to the replica that has the stream of this session (the key of call headers), where it arrives as
    /// [`ListenEvent::Posted`] of the updates with the purpose [`Inbox`](protocol::link::header::Purpose::Inbox).
    ///
    /// # Errors
    /// [`Failure::SessionNotFound`]: no replica that can be reached has it.
    fn post(&self, _session: &str, _message: Bytes) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(std::future::ready(Err(Failure::SessionNotFound)))
    }
}

impl<C: Calls> Calls for Arc<C> {
    type Stream = C::Stream;

    fn listing(&self) -> watch::Receiver<Arc<Listing>> {
        (**self).listing()
    }

    fn call(&self, header: CallHeader, message: Bytes, context: CallContext<'_>) -> Self::Stream {
        (**self).call(header, message, context)
    }

    fn cancel(&self, session: &str, request_id: &str, reason: Option<&str>) {
        (**self).cancel(session, request_id, reason);
    }

    fn set_log_level(&self, session: &str, level: LogLevel) {
        (**self).set_log_level(session, level);
    }

    fn notify(&self, session: &str, message: &Bytes) {
        (**self).notify(session, message);
    }

    fn end_session(&self, session: &str) {
        (**self).end_session(session);
    }

    fn updates(&self, header: CallHeader, message: Bytes, context: CallContext<'_>) -> Updates {
        (**self).updates(header, message, context)
    }

    fn post(&self, session: &str, message: Bytes) -> BoxFuture<'static, Result<(), Failure>> {
        (**self).post(session, message)
    }
}
