//! The service of one connection of the clients' port: operators' paths go to their router, all others to the edge.
//! Must not know connections.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::service::Service;
use protocol::mcp::failure::Failure;
use tower::Service as _;

use super::guarded::{GuardedBody, guarded};
use super::head;
use super::ops_router::OpsRouter;
use super::progress::Progress;
use super::request_body::RequestBody;
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

impl<C> RequestRouter<C> {
    /// Returns the longest time for a request of this HTTP method and its response: streams of GET have none.
    fn limit(&self, method: &Method) -> Option<Duration> {
        (method == Method::POST).then(|| self.mcp.edge().config.request_timeout_total)
    }
}

type EitherBody<C> = Either<ResponseBody<<C as Calls>::Stream>, Body>;

impl<C: Calls> Service<Request<Incoming>> for RequestRouter<C> {
    type Response = Response<GuardedBody<EitherBody<C>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let limit = self.limit(request.method());
        let guard = self.progress.as_ref().map(|progress| progress.begin_request(limit));
        let request = request.map(|body| RequestBody::new(body, self.progress.clone()));
        if let Err(failure) = head::check(request.version(), request.headers()) {
            let response = self.mcp.refuse(request.method(), request.headers(), failure);
            return Box::pin(async { Ok(guarded(response, Either::Left, guard)) });
        }
        if let Some(ops) = self.ops.as_ref().filter(|ops| ops.takes(&request)) {
            let answer = ops.clone().answer(request, self.mcp.peer());
            return Box::pin(async { answer.await.map(|response| guarded(response, Either::Right, guard)) });
        }
        if self.mcp.edge().is_closed() {
            let headers = request.headers();
            let refused = refusal_response(&Refusal::unread(Failure::Draining, headers), headers);
            return Box::pin(async { Ok(guarded(refused, Either::Left, guard)) });
        }
        let answer = self.mcp.clone().call(request);
        Box::pin(async { answer.await.map(|response| guarded(response, Either::Left, guard)) })
    }
}
