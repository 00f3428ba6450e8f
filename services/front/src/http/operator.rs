//! The MCP endpoint of operators (`UI=full`): what the status page runs goes the way of every client's call, with the operator as the
//! client. Must not know who may operate.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use axum::http::request::Parts;
use axum::http::{Method, Response};
use bytes::Bytes;
use http_body::Body;
use protocol::mcp::failure::Failure;

use super::client_address::ClientAddress;
use super::context::{Handled, RequestContext};
use super::guard::Audience;
use super::post;
use super::response::Refusal;
use super::response_body::ResponseBody;
use super::revocation::{Ending, TextEnding, TextEndings, until_revoked};
use super::service::{finish, http_method_label};
use crate::calls::Calls;
use crate::config::EdgeConfig;
use crate::edge::Edge;
use crate::principal::Credential;

/// The sender of a request.
pub(crate) struct Sender {
    pub(crate) client: ClientAddress,
    /// The operator, or why the request is refused.
    pub(crate) admitted: Result<Credential, Failure>,
}

/// Answers a request of an operator as one of a client. `config` says whose keys are operators'.
pub(crate) async fn serve<C, B>(
    edge: &Arc<Edge<C>>,
    config: &EdgeConfig,
    head: &Parts,
    sender: Sender,
    mut body: B,
) -> Response<ResponseBody<C::Stream>>
where
    C: Calls,
    B: Body<Data = Bytes> + Unpin,
{
    let began = Instant::now();
    let handled = handle(edge, config, head, &sender, &mut body).await;
    finish(edge, head, sender.client, began, handled, &mut body).await
}

async fn handle<C, B>(
    edge: &Arc<Edge<C>>,
    config: &EdgeConfig,
    head: &Parts,
    sender: &Sender,
    body: B,
) -> Handled<C::Stream>
where
    C: Calls,
    B: Body<Data = Bytes> + Unpin,
{
    let label = http_method_label(&head.method);
    let refused = |failure| Handled::by_edge(label, Err(Refusal::unread(failure, &head.headers)));
    let credential = match &sender.admitted {
        Ok(_) if head.method != Method::POST => return refused(Failure::HttpMethodNotAllowed(label.into())),
        Ok(_) if edge.is_closed() => return refused(Failure::Draining),
        Ok(credential) => credential.clone(),
        Err(failure) => return refused(failure.clone()),
    };
    let key = credential.key.as_deref();
    let first = key.and_then(|key| Audience::Operators.keys(config).0.revocation(key)).map(TextEnding::Key);
    let texts = TextEndings { first, beside: None };
    let ending = Ending::of(texts, credential.certificate.clone());
    let (principal, peer) = (credential.principal(), sender.client.named);
    let context = RequestContext { edge, headers: &head.headers, credential, principal, peer };
    let Some(ending) = ending else { return post::handle(&context, body).await };
    let refusal = context.refusal(ending.failure());
    let refused = || Handled::by_edge(label, Err(refusal));
    let handled = pin!(post::handle(&context, body));
    Box::pin(until_revoked(ending, handled, refused)).await
}
