//! The service of one connection of the clients' port: operators' paths go to their router, all others to the edge.
//! Must not know connections.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;

use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::service::Service;
use protocol::mcp::failure::Failure;
use tower::Service as _;

use super::ops_router::OpsRouter;
use crate::calls::Calls;
use crate::http::response::{Refusal, refusal_response};
use crate::http::response_body::ResponseBody;
use crate::http::service::McpService;

/// Routes requests by their path. Without `ops`, the operators' paths are unknown.
pub(super) struct RequestRouter<C> {
    mcp: McpService<C>,
    ops: Option<OpsRouter>,
}

impl<C: Calls> RequestRouter<C> {
    pub(super) fn new(mcp: McpService<C>, ops: Option<OpsRouter>) -> Self {
        Self { mcp, ops }
    }

    /// Returns the service of a connection from `peer`.
    pub(super) fn of(&self, peer: IpAddr) -> Self {
        Self { mcp: self.mcp.of(peer), ops: self.ops.clone() }
    }
}

type EitherBody<C> = Either<ResponseBody<<C as Calls>::Stream>, Body>;

impl<C: Calls> Service<Request<Incoming>> for RequestRouter<C> {
    type Response = Response<EitherBody<C>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if let Some(ops) = self.ops.as_ref().filter(|ops| ops.has(request.uri().path())) {
            let answer = ops.clone().answer(request, self.mcp.peer());
            return Box::pin(async { answer.await.map(|response| response.map(Either::Right)) });
        }
        if self.mcp.edge().is_closed() {
            return Box::pin(async {
                Ok(refusal_response(&Refusal::unread(Failure::Draining)).map(Either::Left))
            });
        }
        let answer = self.mcp.clone().call(request);
        Box::pin(async { answer.await.map(|response| response.map(Either::Left)) })
    }
}
