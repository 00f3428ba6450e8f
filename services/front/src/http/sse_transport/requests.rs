//! The run of a message that was posted to a stream of 2024-11-05. Must not know how the answer is written.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::mcp::envelope::{Message, parse};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;

use crate::calls::Calls;
use crate::edge::Edge;
use crate::http::context::RequestContext;
use crate::http::message::{declared, write_down};
use crate::jsonrpc::{Segments, error_response};
use crate::method::{Answer, Caller, Request, method_label};
use crate::principal::{Credential, Principal};
use crate::session::Session;
use crate::trace::{RequestSpan, Trace};
use crate::usage::StreamShare;

/// The client of a stream, as its GET request showed it: whatever it posts, and wherever, runs as if that request had brought it.
pub(super) struct StreamClient {
    pub(super) session: Session,
    pub(super) headers: HeaderMap,
    pub(super) credential: Credential,
    pub(super) principal: Principal,
    pub(super) peer: Option<IpAddr>,
}

/// What `initialize` agreed on.
#[derive(Clone)]
pub(super) struct Agreed {
    pub(super) version: Version,
    /// Capabilities that the client declared, a JSON object.
    pub(super) capabilities: Option<Arc<str>>,
}

/// Answer to a message.
pub(super) enum Answered<S> {
    /// There is none: the message was a notification.
    Nothing,
    Response(Segments),
    /// Response to `initialize`.
    Initialized {
        agreed: Agreed,
        response: Segments,
    },
    /// Call with the id of its request, as raw JSON.
    Call {
        id: Box<str>,
        stream: S,
        share: StreamShare,
    },
}

/// Runs a message: a notification or a request. Dropping the future gives the request up.
pub(super) fn run<C: Calls>(
    edge: &Weak<Edge<C>>,
    client: &Arc<StreamClient>,
    agreed: Agreed,
    message: Bytes,
) -> BoxFuture<'static, Answered<C::Stream>> {
    let (edge, client) = (edge.upgrade(), Arc::clone(client));
    Box::pin(async move {
        let Some(edge) = edge else { return Answered::Nothing };
        let StreamClient { session, headers, credential, principal, peer } = &*client;
        let credential = credential.clone();
        let context = RequestContext { edge: &edge, headers, credential, principal: *principal, peer: *peer };
        match parse(&message) {
            Ok(Message::Request { id, method, params }) => {
                let request =
                    Request { id: id.get(), method: method.as_str(), params: &params, message: &message };
                on_request(&context, session, agreed, &request).await
            }
            Ok(Message::Notification { method, params }) => {
                let mut span = RequestSpan::start("http");
                let caller = caller(session, agreed.version, agreed.capabilities);
                span.set_caller(&caller);
                edge.on_notification(method.as_str(), &params, caller.session.as_deref(), &message);
                span.finish(method.as_str(), None, params.meta.as_ref(), context.call_context(), None);
                Answered::Nothing
            }
            // Whoever takes posts lets no others pass.
            Ok(Message::Response { .. }) | Err(_) => Answered::Nothing,
        }
    })
}

async fn on_request<C: Calls>(
    context: &RequestContext<'_, C>,
    session: &Session,
    agreed: Agreed,
    request: &Request<'_>,
) -> Answered<C::Stream> {
    let began = std::time::Instant::now();
    let written = write_down(context, request).await;
    let mut span = RequestSpan::start("http");
    let caller = caller(session, agreed.version, agreed.capabilities);
    span.set_caller(&caller);
    let share = written.and_then(|()| context.edge.usage.stream(context.client()));
    let answer = share.and_then(|share| {
        let answer = context.edge.answer(request, caller, context.call_context())?;
        Ok((answer, share))
    });
    let failure = match answer {
        Ok((Answer::Call(stream), share)) => return Answered::Call { id: request.id.into(), stream, share },
        Ok(_) => None,
        Err(ref failure) => Some(failure.clone()),
    };
    let meta = request.params.meta.as_ref();
    span.finish(request.method, Some(request.id), meta, context.call_context(), failure.as_ref());
    let label = method_label(request.method);
    context.edge.meter.record_answer(label, failure.as_ref(), began.elapsed().as_secs_f64());
    match answer {
        Ok((Answer::Response(response), _)) => Answered::Response(response),
        Ok((Answer::Initialized { version, response }, _)) => {
            let capabilities = request.params.capabilities.and_then(declared).map(Into::into);
            Answered::Initialized { agreed: Agreed { version, capabilities }, response }
        }
        Err(failure) => {
            Answered::Response(error_response(Some(request.id.as_bytes()), &failure, Era::Legacy))
        }
        Ok((Answer::Call(_), _)) => Answered::Response(error_response(None, &Failure::Internal, Era::Legacy)),
    }
}

/// Returns the sender of the messages of a stream.
pub(super) fn caller(session: &Session, version: Version, capabilities: Option<Arc<str>>) -> Caller {
    Caller {
        era: Era::Legacy,
        version,
        session: Some(session.key()),
        capabilities,
        place: None,
        param_headers: BTreeMap::new(),
        trace: Trace::default(),
    }
}
