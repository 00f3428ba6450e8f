//! Single messages without HTTP, as a proxy sends them over a link of the plain dialect (`docs/PROTOCOL.md`). Must not
//! know the link.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use protocol::link::call::ResponseEvent;
use protocol::link::plain::foreign_id;
use protocol::mcp::envelope::{Message, parse};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;

use crate::calls::{CallContext, Calls};
use crate::edge::Edge;
use crate::jsonrpc::{Member, error_response, response};
use crate::method::{Answer, Caller, Request, empty_result, envelope_failure};
use crate::trace::RequestSpan;
use crate::trace::Trace;

impl<C: Calls> Edge<C> {
    /// Returns the JSON-RPC response to one message of a legacy client without a session. Events of a call are
    /// dropped, since the dialect cannot carry them. Notifications arrive as requests with a generated id and get an
    /// empty result.
    ///
    /// Collects the whole result in memory. Dropping the future drops the call's stream.
    pub async fn answer_plain(&self, text: Bytes) -> Bytes {
        let (id, answer) = match parse(&text) {
            Ok(Message::Request { id, method, params }) => {
                let request =
                    Request { id: id.get(), method: method.as_str(), params: &params, message: &text };
                (Some(request.id.into()), self.begin_plain(&request))
            }
            Ok(_) => (
                foreign_id(&text).map(Into::into),
                Err(Failure::InvalidRequest("a request with an id is expected".into())),
            ),
            Err(error) => {
                let (id, failure) = envelope_failure(error);
                (id.or_else(|| foreign_id(&text).map(Into::into)), Err(failure))
            }
        };
        let id: Option<&[u8]> = id.as_deref().map(str::as_bytes);
        match answer {
            Ok(Answer::Call(stream)) => collect(id.unwrap_or_default(), stream).await,
            Ok(Answer::Response(response) | Answer::Initialized { response, .. }) => response.into_bytes(),
            Err(failure) => error_response(id, &failure, Era::Legacy).into_bytes(),
        }
    }

    /// Begins a request, and records the span of one that becomes no call.
    fn begin_plain(&self, request: &Request<'_>) -> Result<Answer<C::Stream>, Failure> {
        // The dialect does not say which client is behind the proxy.
        let headers = HeaderMap::new();
        let (caller, context) = (plain_caller(), CallContext::anonymous(&headers));
        let mut span = RequestSpan::start("websocket");
        span.set_caller(&caller);
        let answer = if request.method.starts_with("notifications/") {
            // Cancellations too: the proxy passes its clients' ids on unchanged, so one client could end another's
            // request.
            Ok(Answer::Response(empty_result(request.id)))
        } else {
            self.answer(request, caller, context)
        };
        if !matches!(answer, Ok(Answer::Call(_))) {
            let meta = request.params.meta.as_ref();
            span.finish(request.method, Some(request.id), meta, context, answer.as_ref().err());
        }
        answer
    }
}

/// Returns the sender of all messages: a legacy client of the version that such proxies name in their `/health`.
fn plain_caller() -> Caller {
    Caller {
        era: Era::Legacy,
        version: Version::V2025_06_18,
        session: None,
        capabilities: None,
        param_headers: BTreeMap::new(),
        trace: Trace::default(),
    }
}

/// Collects the response of a call, without its notifications.
async fn collect<S: Stream<Item = ResponseEvent> + Unpin>(id: &[u8], mut stream: S) -> Bytes {
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
            Some(ResponseEvent::Failed(failure)) => {
                return error_response(Some(id), &failure, Era::Legacy).into_bytes();
            }
            None => return error_response(Some(id), &Failure::Internal, Era::Legacy).into_bytes(),
        }
    }
}
