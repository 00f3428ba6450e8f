//! Requests of the authorization server's paths, and the challenges that lead there. Must not know how it works.

use std::pin::Pin;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderValue, Request};
use bytes::{Bytes, BytesMut};
use http_body::Body;
use protocol::mcp::failure::Failure;

use super::client_address::ClientAddress;
use super::context::HandlerResult;
use super::metadata::Shown;
use super::response::Refusal;
use super::response_body::ResponseBody;
use crate::authority::Authority;
use crate::config::EdgeConfig;
use crate::jsonrpc::Segments;

/// Returns the authorization server, if the path of a request is one of its own.
pub(crate) fn authority_of<'a>(config: &'a EdgeConfig, head: &Parts) -> Option<&'a Arc<dyn Authority>> {
    config.authority.as_ref().filter(|authority| authority.takes(head.uri.path()))
}

/// Lets the authorization server answer.
pub(crate) async fn answer<S, B>(
    authority: Arc<dyn Authority>,
    head: &Parts,
    client: ClientAddress,
    body: B,
) -> HandlerResult<S>
where
    B: Body<Data = Bytes> + Unpin,
{
    let body =
        read(body, authority.max_body()).await.map_err(|failure| Refusal::unread(failure, &head.headers))?;
    let mut request = Request::new(body);
    request.method_mut().clone_from(&head.method);
    request.uri_mut().clone_from(&head.uri);
    request.headers_mut().clone_from(&head.headers);
    let response = authority.answer(request, client.named).await;
    Ok(response.map(|body| ResponseBody::Whole(Segments::one(body))))
}

async fn read<B>(mut body: B, limit: usize) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut read = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| Failure::InvalidRequest("the body cannot be read".into()))?;
        let data = frame.into_data().unwrap_or_default();
        if read.len() + data.len() > limit {
            return Err(Failure::BodyTooLarge { limit });
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// Tells a client whose credential is missing or not accepted where it gets one (RFC 9728, 5.1; RFC 6750, 3).
pub(crate) fn challenge(config: &EdgeConfig, failure: &Failure, shown: Shown) -> Option<HeaderValue> {
    // With other issuers too, theirs has all.
    let authority = config.authority.as_ref().filter(|_| config.tokens.is_none())?;
    match failure {
        Failure::Unauthorized(_) | Failure::AnonymousRefused => {
            let error = (shown == Shown::Bearer).then_some("invalid_token");
            Some(authority.challenge(error, &[]))
        }
        Failure::InsufficientScope { scopes } => {
            Some(authority.challenge(Some("insufficient_scope"), scopes))
        }
        _ => None,
    }
}
