//! Requests of the authorization server's paths, and what its tokens end. Must not know how it works.

use std::pin::Pin;
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, Response};
use bytes::{Bytes, BytesMut};
use http_body::Body;
use protocol::mcp::failure::Failure;

use super::client_address::ClientAddress;
use super::context::{Handled, HandlerResult};
use super::response::Refusal;
use super::response_body::ResponseBody;
use crate::authority::{Authority, Shown};
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
    let body = read(body, authority.max_body()).await.map_err(Refusal::unread)?;
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

/// Returns the failure of what ends with its token.
pub(crate) fn token_ended() -> Failure {
    Failure::Unauthorized("the access token was revoked or has expired".into())
}

/// Waits for the result of a request, at most until the sender's token ends: then the request is dropped, and with it the call that it
/// began, and `refused` is its result. A response that is still open ends with the token too.
pub(crate) async fn until_token_ends<S>(
    authority: &Arc<dyn Authority>,
    headers: &HeaderMap,
    handled: impl Future<Output = Handled<S>>,
    refused: impl FnOnce() -> Handled<S>,
) -> Handled<S> {
    let token = headers.get(AUTHORIZATION).and_then(|value| super::guard::bearer_key(value.as_bytes()));
    let end = || Arc::clone(authority).ended(token.unwrap_or_default());
    let Handled { result, counted_by } = tokio::select! {
        biased;
        handled = handled => handled,
        () = end() => return refused(),
    };
    let end = end();
    let result = result.map(|response| response.map(|body| body.until(end, token_ended())));
    Handled { result, counted_by }
}

/// Tells a client whose credential is missing or not accepted where it gets one (RFC 9728, 5.1; RFC 6750, 3).
pub(crate) fn challenge<S>(
    config: &EdgeConfig,
    headers: &HeaderMap,
    failure: &Failure,
    response: &mut Response<ResponseBody<S>>,
) {
    let Some(authority) = &config.authority else { return };
    if matches!(failure, Failure::Unauthorized(_) | Failure::AnonymousRefused) {
        let shown = if headers.contains_key(AUTHORIZATION) { Shown::Credential } else { Shown::Nothing };
        response.headers_mut().insert(WWW_AUTHENTICATE, authority.challenge(shown));
    }
}
