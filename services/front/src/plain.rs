//! Single messages without HTTP: what an existing proxy sends over a link of the plain dialect (EXISTING.md,
//! "WebSocket, plain dialect"). Must not know the link.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use protocol::link::call::ResponseEvent;
use protocol::mcp::envelope::{Message, parse};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;

use crate::answer::{Answer, Member, refusal, response};
use crate::calls::{CallContext, Calls};
use crate::edge::Edge;
use crate::method::{Caller, Request, empty_result, unreadable};
use crate::trace::RequestSpan;
use crate::trace::Trace;

impl<C: Calls> Edge<C> {
    /// The one JSON-RPC response to a message of a legacy client without a session. Events are left out: the dialect
    /// has no way for them. Notifications, which come as requests with a made-up id, get an empty result.
    ///
    /// Collects the whole result in memory. Dropping the future drops the call's stream.
    pub async fn answer_plain(&self, text: Bytes) -> Bytes {
        let (id, answer) = self.begin(&text);
        let id = id.as_deref().map(str::as_bytes);
        match answer {
            Answer::Call(stream) => collect(id.unwrap_or_default(), stream).await,
            Answer::Message(message) | Answer::Initialized(_, message) => message.into_bytes(),
            Answer::Refused(failure) => refusal(id, &failure).into_bytes(),
        }
    }

    /// The answer, and the request's id where it could be read.
    fn begin(&self, text: &Bytes) -> (Option<Box<str>>, Answer<C::Stream>) {
        let (id, method, params) = match parse(text) {
            Ok(Message::Request { id, method, params }) => (id.get(), method, params),
            Ok(_) => {
                return (
                    None,
                    Answer::Refused(Failure::InvalidRequest("a request with an id is expected".into())),
                );
            }
            Err(error) => {
                let (id, failure) = unreadable(error);
                return (id, Answer::Refused(failure));
            }
        };
        // Who stands behind the proxy is not said in this dialect.
        let headers = HeaderMap::new();
        let (caller, asker) = (Caller::plain(), CallContext::nobody(&headers));
        let mut span = RequestSpan::start("websocket");
        span.set_caller(&caller);
        let method = method.as_str();
        let answer = if method.starts_with("notifications/") {
            // Not even `cancelled`: such a proxy uses its clients' ids as they are, so that one could end another's.
            Answer::Message(empty_result(id))
        } else {
            self.answer(&Request { id, method, params: &params, message: text }, caller, asker)
        };
        let failure = match &answer {
            Answer::Call(_) => return (Some(id.into()), answer),
            Answer::Refused(failure) => Some(failure),
            Answer::Message(_) | Answer::Initialized(..) => None,
        };
        span.finish(method, Some(id), params.meta.as_ref(), asker, failure);
        (Some(id.into()), answer)
    }
}

impl Caller {
    /// A client behind an existing proxy, which speaks the version that its `/health` names.
    fn plain() -> Self {
        Self {
            era: Era::Legacy,
            version: Version::V2025_06_18,
            session: None,
            param_headers: BTreeMap::new(),
            trace: Trace::default(),
        }
    }
}

async fn collect<S: futures_util::Stream<Item = ResponseEvent> + Unpin>(id: &[u8], mut stream: S) -> Bytes {
    let mut result = BytesMut::new();
    loop {
        match stream.next().await {
            Some(ResponseEvent::Event { .. }) => {}
            Some(ResponseEvent::End { more: true, payload, .. }) => result.put(payload),
            Some(ResponseEvent::End { error, payload, .. }) => {
                let member = if error { Member::Error } else { Member::Result };
                let payload = if result.is_empty() {
                    payload
                } else {
                    result.put(payload);
                    result.freeze()
                };
                return response(id, member, payload).into_bytes();
            }
            Some(ResponseEvent::Failed(failure)) => return refusal(Some(id), &failure).into_bytes(),
            None => return refusal(Some(id), &Failure::Internal).into_bytes(),
        }
    }
}
