//! The service of one connection of the clients' port: operators' paths go to their router, all others to the edge.
//! Must not know connections.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::service::Service;
use protocol::mcp::failure::Failure;
use tower::Service as _;

use super::ops_router::OpsRouter;
use super::progress::{Progress, RequestGuard};
use crate::calls::Calls;
use crate::http::response::{Refusal, refusal_response};
use crate::http::response_body::ResponseBody;
use crate::http::service::McpService;

/// Routes requests by their path. Without `ops`, the operators' paths are unknown.
pub(super) struct RequestRouter<C> {
    mcp: McpService<C>,
    ops: Option<OpsRouter>,
    /// The progress of the connection, for the service of one.
    progress: Option<Progress>,
}

impl<C: Calls> RequestRouter<C> {
    pub(super) fn new(mcp: McpService<C>, ops: Option<OpsRouter>) -> Self {
        Self { mcp, ops, progress: None }
    }

    /// Returns the service of a connection from `peer` that makes this progress.
    pub(super) fn of(&self, peer: IpAddr, progress: Progress) -> Self {
        Self { mcp: self.mcp.of(peer), ops: self.ops.clone(), progress: Some(progress) }
    }
}

type EitherBody<C> = Either<ResponseBody<<C as Calls>::Stream>, Body>;

impl<C: Calls> Service<Request<Incoming>> for RequestRouter<C> {
    type Response = Response<GuardedBody<EitherBody<C>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let guard = self.progress.as_ref().map(Progress::begin_request);
        if let Some(ops) = self.ops.as_ref().filter(|ops| ops.has(request.uri().path())) {
            let answer = ops.clone().answer(request, self.mcp.peer());
            return Box::pin(async { answer.await.map(|response| guarded(response, Either::Right, guard)) });
        }
        if self.mcp.edge().is_closed() {
            return Box::pin(async {
                Ok(guarded(refusal_response(&Refusal::unread(Failure::Draining)), Either::Left, guard))
            });
        }
        let answer = self.mcp.clone().call(request);
        Box::pin(async { answer.await.map(|response| guarded(response, Either::Left, guard)) })
    }
}

fn guarded<B, T>(
    response: Response<B>,
    side: impl FnOnce(B) -> T,
    guard: Option<RequestGuard>,
) -> Response<GuardedBody<T>> {
    response.map(|body| GuardedBody { body: side(body), _guard: guard })
}

/// A response body during which the connection has a request under way.
pub(super) struct GuardedBody<B> {
    body: B,
    _guard: Option<RequestGuard>,
}

impl<B: HttpBody + Unpin> HttpBody for GuardedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
