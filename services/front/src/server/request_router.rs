//! The service of one connection of the clients' port: operators' paths go to their router, all others to the edge.
//! Must not know connections.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method, Request, Response, Version};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::service::Service;
use protocol::mcp::failure::Failure;
use runtime::tls::ClientCertificate;
use tower::Service as _;

use super::admission::Beyond;
use super::guarded::{GuardedBody, guarded};
use super::head;
use super::open_stream::OpenBody;
use super::ops_router::OpsRouter;
use super::placeholder::Placeholder;
use super::progress::{Progress, RequestGuard};
use super::request_body::RequestBody;
use super::upgrade::{Pending, Upgrades};
use crate::calls::Calls;
use crate::http::response::{Refusal, refusal_response};
use crate::http::response_body::ResponseBody;
use crate::http::service::McpService;

/// Routes requests by their path. Without `ops`, the operators' paths are unknown.
pub(super) struct RequestRouter<C> {
    mcp: McpService<C>,
    ops: Option<OpsRouter>,
    upgrades: Option<Upgrades>,
    /// The connection, for the service of one.
    of: Option<OfConnection>,
    /// What its client showed in the TLS handshake.
    certificate: Option<Arc<ClientCertificate>>,
}

/// What requests change of their connection.
#[derive(Clone)]
pub(super) struct OfConnection {
    /// The address of its other end.
    pub(super) peer: IpAddr,
    pub(super) progress: Progress,
    /// What follows an upgrade.
    pub(super) pending: Pending,
    /// The limit that the connection exceeds, so that it is for an upgrade alone.
    pub(super) beyond: Option<Beyond>,
}

impl<C: Calls> RequestRouter<C> {
    pub(super) fn new(mcp: McpService<C>, ops: Option<OpsRouter>, upgrades: Option<Upgrades>) -> Self {
        Self { mcp, ops, upgrades, of: None, certificate: None }
    }

    /// Returns the service of a connection.
    pub(super) fn of(&self, connection: OfConnection) -> Self {
        let (ops, upgrades) = (self.ops.clone(), self.upgrades.clone());
        Self { mcp: self.mcp.of(connection.peer), ops, upgrades, of: Some(connection), certificate: None }
    }

    /// Returns the service of the same connection, whose client showed this certificate.
    pub(super) fn showing(self, certificate: Option<Arc<ClientCertificate>>) -> Self {
        Self { certificate, ..self }
    }

    /// Answers a request for an upgrade, and all requests of a connection that is for one alone.
    fn answer_upgrade(&self, request: &Request<RequestBody>) -> Option<Response<EitherBody<C>>> {
        let connection = self.of.as_ref()?;
        if let Some(upgrades) = self.upgrades.as_ref().filter(|upgrades| upgrades.takes(request)) {
            let (mut head, ()) = Request::new(()).into_parts();
            head.method = request.method().clone();
            head.uri = request.uri().clone();
            head.version = request.version();
            head.headers = request.headers().clone();
            let request = Request::from_parts(head, ());
            return Some(upgrades.answer(connection.peer, request, &connection.pending).map(Either::Right));
        }
        let failure = connection.beyond?.refuse(connection.peer);
        let headers = request.headers();
        let mut response = refusal_response(&Refusal::unread(failure, headers), headers).map(Either::Left);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Some(response)
    }
}

impl<C> RequestRouter<C> {
    /// Returns where the open body of a response is kept for its connection; `None`: hyper writes it.
    fn pending(&self, version: Version) -> Option<Pending> {
        // Earlier versions have no chunks.
        self.of.as_ref().filter(|_| version == Version::HTTP_11).map(|of| of.pending.clone())
    }

    /// Returns the longest time for a request of this HTTP method and its response: streams of GET have none.
    fn limit(&self, method: &Method) -> Option<Duration> {
        (method == Method::POST).then(|| self.mcp.edge().config.request_timeout_total)
    }
}

/// Returns the response with its body, or with one that stands for it where it stays open: the connection is for that alone from then on.
fn open_or_guarded<S>(
    mut response: Response<ResponseBody<S>>,
    pending: Pending,
    guard: Option<RequestGuard>,
) -> Response<GuardedBody<Either<ResponseBody<S>, Body>>> {
    let Some(events) = response.body_mut().take_events() else {
        return guarded(response, Either::Left, guard);
    };
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    pending.keep(OpenBody { events, guard });
    guarded(response.map(|_| Body::new(Placeholder(pending))), Either::Right, None)
}

type EitherBody<C> = Either<ResponseBody<<C as Calls>::Stream>, Body>;

impl<C: Calls> Service<Request<Incoming>> for RequestRouter<C> {
    type Response = Response<GuardedBody<EitherBody<C>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let limit = self.limit(request.method());
        let progress = self.of.as_ref().map(|connection| connection.progress.clone());
        let mut guard = progress.as_ref().map(|progress| progress.begin_request(limit));
        let mut request = request.map(|body| RequestBody::new(body, progress));
        if let Some(certificate) = &self.certificate {
            request.extensions_mut().insert(Arc::clone(certificate));
        }
        if let Err(failure) = head::check_request(&request, guard.as_mut()) {
            let response = self.mcp.refuse(request.method(), request.headers(), failure);
            return Box::pin(async { Ok(guarded(response, Either::Left, guard)) });
        }
        let is_closed = self.mcp.edge().is_closed();
        if let Some(response) = (!is_closed).then(|| self.answer_upgrade(&request)).flatten() {
            return Box::pin(async { Ok(guarded(response, std::convert::identity, guard)) });
        }
        if let Some(ops) = self.ops.as_ref().filter(|ops| ops.takes(&request)) {
            let answer = ops.clone().answer(request, self.mcp.peer());
            return Box::pin(async { answer.await.map(|response| guarded(response, Either::Right, guard)) });
        }
        if is_closed {
            let headers = request.headers();
            let refused = refusal_response(&Refusal::unread(Failure::Draining, headers), headers);
            return Box::pin(async { Ok(guarded(refused, Either::Left, guard)) });
        }
        let pending = self.pending(request.version());
        let answer = self.mcp.clone().call(request);
        Box::pin(async {
            answer.await.map(|response| match pending {
                Some(pending) => open_or_guarded(response, pending, guard),
                None => guarded(response, Either::Left, guard),
            })
        })
    }
}
