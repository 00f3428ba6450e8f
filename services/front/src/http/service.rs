//! The endpoint as a service: paths, HTTP methods, and the order of the checks. Must not know MCP's methods.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body::Body;
use protocol::mcp::failure::Failure;
use tower::Service;

use super::context::{CountedBy, Handled, RequestContext};
use super::era::detect::era_by_header;
use super::health::{HEALTH, health};
use super::response::{Refusal, empty, refusal_response};
use super::response_body::ResponseBody;
use super::{audit, cors, guard, listen, post, session_end};
use crate::calls::Calls;
use crate::edge::Edge;

/// Paths of the MCP endpoint: `/mcp` and its aliases.
pub const PATHS: [&str; 5] = ["/mcp", "/", "/messages/", "/messages", "/sse"];

/// Returns a router with all paths of the edge, and 404 for others. Callers merge their own routes into it or nest it.
pub fn router<C: Calls>(edge: Arc<Edge<C>>) -> Router {
    let service = McpService::new(edge);
    let router = Router::new().fallback_service(service.clone()).route_service(HEALTH, service.clone());
    PATHS.into_iter().fold(router, |router, path| router.route_service(path, service.clone()))
}

/// Edge as a [`tower::Service`], for callers with a router of their own. Accepts any body of bytes.
///
/// Dropping the future of a request ends the call that the request began, as [`Calls::Stream`] says.
pub struct McpService<C> {
    edge: Arc<Edge<C>>,
    /// Address of the client, for the service of one connection.
    peer: Option<IpAddr>,
}

impl<C> McpService<C> {
    /// Creates a service for this edge, with no known client address.
    pub fn new(edge: Arc<Edge<C>>) -> Self {
        Self { edge, peer: None }
    }

    /// Returns the service of a connection from this address.
    #[must_use]
    pub fn of(&self, peer: IpAddr) -> Self {
        Self { edge: Arc::clone(&self.edge), peer: Some(peer) }
    }

    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    pub(crate) fn edge(&self) -> &Edge<C> {
        &self.edge
    }
}

impl<C> Clone for McpService<C> {
    fn clone(&self) -> Self {
        Self { edge: Arc::clone(&self.edge), peer: self.peer }
    }
}

impl<C> std::fmt::Debug for McpService<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.edge.fmt(f)
    }
}

impl<C, B> Service<Request<B>> for McpService<C>
where
    C: Calls,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    type Response = Response<ResponseBody<C::Stream>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (edge, peer) = (Arc::clone(&self.edge), self.peer);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let peer = peer.map(|peer| edge.config.trusted.client(peer, &head.headers));
            Ok(serve(&edge, &head, peer, body).await)
        })
    }
}

/// Answers one request, counts it, records a refusal in the audit stream, and adds the CORS headers.
async fn serve<C, B>(
    edge: &Edge<C>,
    head: &Parts,
    peer: Option<IpAddr>,
    body: B,
) -> Response<ResponseBody<C::Stream>>
where
    C: Calls,
    B: Body<Data = Bytes> + Unpin,
{
    let began = Instant::now();
    let origin = guard::check_origin(&edge.config, &head.headers);
    let Handled { result, counted_by } = match &origin {
        Ok(_) => route(edge, head, peer, body).await,
        Err(failure) => {
            Handled::by_edge(http_method_label(&head.method), Err(Refusal::unread(failure.clone())))
        }
    };
    if let CountedBy::Edge(label) = counted_by {
        let failure = result.as_ref().err().map(|refusal| &refusal.failure);
        edge.meter.record_answer(label, failure, began.elapsed().as_secs_f64());
        let kind = failure.map_or("ok", |failure| failure.spec().kind);
        tracing::debug!(method = label, kind, "Answered a request");
    }
    if let Err(refusal) = &result {
        audit::record_refusal(head, peer, &refusal.failure);
    }
    let mut response = result.unwrap_or_else(|refusal| refusal_response(&refusal));
    if let Ok(Some(origin)) = origin {
        cors::expose(origin.clone(), response.headers_mut());
    }
    response
}

/// Hands a request on by its path and its HTTP method.
async fn route<C, B>(edge: &Edge<C>, head: &Parts, peer: Option<IpAddr>, body: B) -> Handled<C::Stream>
where
    C: Calls,
    B: Body<Data = Bytes> + Unpin,
{
    let path = head.uri.path();
    let is_health = path == HEALTH;
    let label = http_method_label(&head.method);
    if !is_health && !PATHS.contains(&path) {
        return Handled::by_edge(label, Err(Refusal::unread(Failure::PathNotFound)));
    }
    match (&head.method, is_health) {
        (&Method::OPTIONS, _) => {
            let mut response = empty(StatusCode::NO_CONTENT);
            cors::preflight(&head.headers, response.headers_mut());
            Handled::by_edge(label, Ok(response))
        }
        (&Method::GET | &Method::HEAD, true) => Handled::by_edge(label, Ok(health(edge))),
        (&Method::POST | &Method::GET | &Method::DELETE, false) => {
            let context = match authenticate(edge, head, peer) {
                Ok(context) => context,
                Err(refusal) => return Handled::by_edge(label, Err(refusal)),
            };
            match head.method {
                Method::POST => post::handle(&context, body).await,
                Method::GET => Handled::by_edge(label, listen::handle(&context)),
                _ => Handled::by_edge(label, session_end::handle(&context)),
            }
        }
        _ => {
            let failure = Failure::HttpMethodNotAllowed(label.to_owned());
            Handled::by_edge(label, Err(Refusal::unread(failure)))
        }
    }
}

/// Checks the key of a request.
fn authenticate<'a, C>(
    edge: &'a Edge<C>,
    head: &'a Parts,
    peer: Option<IpAddr>,
) -> Result<RequestContext<'a, C>, Refusal> {
    match guard::authenticate(&edge.config, &head.headers) {
        Ok(principal) => Ok(RequestContext { edge, headers: &head.headers, principal, peer }),
        Err(failure) => Err(Refusal { failure, era: era_by_header(&head.headers), id: None }),
    }
}

/// Returns an HTTP method as a label of metrics.
fn http_method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
