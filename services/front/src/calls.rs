//! What stands behind the edge. The proxy implements it with slaves, a slave with its own backends.

use std::net::IpAddr;
use std::sync::Arc;

pub use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::Stream;
use protocol::link::call::ResponseEvent;
use protocol::link::header::CallHeader;
use tokio::sync::watch;

use crate::keys::Principal;

/// What the list methods answer, built once for each change and shared by all requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The JSON array of `tools/list`, in stable order, as bytes.
    pub tools: Bytes,
    /// How many tools it has.
    pub tool_count: usize,
}

/// Who asks, and what came beside the message: for rules and limits. Never logged.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    /// By the key that was shown.
    pub principal: Principal,
    /// The request's headers, unaltered.
    pub headers: &'a HeaderMap,
    /// The client's address, where it is known.
    pub peer: Option<IpAddr>,
}

/// Something that takes calls.
pub trait Calls: Send + Sync + 'static {
    /// What comes back. Taking an item from it acknowledges it (that is the back-pressure). Dropping it before its
    /// last part cancels the call of a modern client and leaves that of a legacy client running (DESIGN.md §6).
    type Stream: Stream<Item = ResponseEvent> + Send + Unpin + 'static;

    /// What is offered now, and its changes.
    fn listing(&self) -> watch::Receiver<Arc<Listing>>;

    /// Begins a call with the client's whole JSON-RPC message. `context` is for choosing and refusing, and goes no
    /// further. Failures come as [`ResponseEvent::Failed`], never late or twice.
    fn call(&self, header: CallHeader, message: Bytes, context: CallContext<'_>) -> Self::Stream;

    /// Legacy `notifications/cancelled`: ends the call that this session began under this request id (as it stands
    /// in JSON), wherever it runs. Unknown ids are ignored, as the specification asks.
    fn cancel(&self, session: &str, request_id: &str);

    /// The client ended its session: what is kept for it may go.
    fn end_session(&self, session: &str);

    /// What a legacy client shows to read on after its connection broke: names the call, in characters that a header
    /// may have, without `-`. `None`: this call cannot be resumed, and its events get no ids.
    fn resume_token(&self, stream: &Self::Stream) -> Option<String> {
        let _ = stream;
        None
    }
}

impl CallContext<'_> {
    /// Nobody in particular, without headers: for callers that are not on HTTP.
    pub fn anonymous(headers: &HeaderMap) -> CallContext<'_> {
        CallContext { principal: Principal::ANYONE, headers, peer: None }
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

    fn cancel(&self, session: &str, request_id: &str) {
        (**self).cancel(session, request_id);
    }

    fn end_session(&self, session: &str) {
        (**self).end_session(session);
    }

    fn resume_token(&self, stream: &Self::Stream) -> Option<String> {
        (**self).resume_token(stream)
    }
}
