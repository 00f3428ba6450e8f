//! POST: reads the body and hands it on as one message. Must not know what a message says.

use bytes::Bytes;
use http_body::Body;
use protocol::mcp::failure::Failure;

use super::accept::{Accept, check_content_type};
use super::context::{Handled, RequestContext};
use super::message;
use super::request_body::{BodyLimits, read_body};
use crate::calls::Calls;

/// Label of requests of which no message could be read.
pub(super) const INVALID: &str = "invalid";

/// Handles a POST request. Dropping the future ends the call that the message began, as [`Calls::Stream`] says.
pub(crate) async fn handle<C, B>(context: &RequestContext<'_, C>, body: B) -> Handled<C::Stream>
where
    C: Calls,
    B: Body<Data = Bytes> + Unpin,
{
    let refused = |failure| Handled::by_edge(INVALID, Err(context.refusal(failure)));
    let accept =
        match check_content_type(context.headers).and_then(|()| Accept::from_headers(context.headers)) {
            Ok(accept) => accept,
            Err(failure) => return refused(failure),
        };
    let body = match read_message(context, body).await {
        Ok(body) => body,
        Err(failure) => return refused(failure),
    };
    let share = match context.edge.usage.stream(context.client()) {
        Ok(share) => share,
        Err(failure) => return refused(failure),
    };
    let mut handled = message::handle(context, &body, accept).await;
    if let Ok(response) = &mut handled.result {
        response.body_mut().keep(share);
    }
    handled
}

/// Reads the body of a request within the limits of its client. Whether it is text is for the parser to say, which looks at all of it.
pub(super) async fn read_message<C, B>(context: &RequestContext<'_, C>, body: B) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    let config = &context.edge.config;
    let limits = BodyLimits {
        max_bytes: config.max_body,
        timeout: config.request_timeout,
        stall: config.limits.stall,
    };
    let share = context.edge.usage.body(context.client());
    read_body(context.headers, body, limits, share).await
}
