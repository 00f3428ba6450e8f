//! The endpoint: paths, HTTP methods, and the order of the checks. Must not know MCP's methods.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body::Body;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use serde_json::json;
use tower::Service;

use super::accept::accepts_events;
use super::listen::listen;
use super::post::{Count, Outcome, Post};
use super::response::{Refusal, empty, events, json, refusal_response};
use super::response_body::ResponseBody;
use super::{audit, cors, era, guard};
use crate::calls::Calls;
use crate::edge::{Edge, now};
use crate::jsonrpc::Segments;
use crate::keys::Principal;

/// The paths of the MCP endpoint: the document's, and the aliases of the existing server.
pub const PATHS: [&str; 5] = ["/mcp", "/", "/messages/", "/messages", "/sse"];

/// Health in the form of the existing server; asks for no key.
pub(crate) const HEALTH: &str = "/health";

/// All paths of the edge, and 404 for the others. Routes of the caller's own are merged in or nested around it.
pub fn router<C: Calls>(edge: Arc<Edge<C>>) -> Router {
    let service = McpService::new(edge);
    let router = Router::new().fallback_service(service.clone()).route_service(HEALTH, service.clone());
    PATHS.into_iter().fold(router, |router, path| router.route_service(path, service.clone()))
}

/// The edge as a service, for those who route by themselves. Takes any body of bytes.
pub struct McpService<C> {
    edge: Arc<Edge<C>>,
    /// The client's address, for a service of one connection.
    peer: Option<IpAddr>,
}

impl<C> McpService<C> {
    /// Serves this edge.
    pub fn new(edge: Arc<Edge<C>>) -> Self {
        Self { edge, peer: None }
    }

    /// The same, for a connection of this client.
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
            Ok(serve(&edge, (&head, peer), body).await)
        })
    }
}

/// A request's head, and the address that it came from.
type Came<'a> = (&'a Parts, Option<IpAddr>);

async fn serve<C, B>(edge: &Edge<C>, (head, peer): Came<'_>, body: B) -> Response<ResponseBody<C::Stream>>
where
    C: Calls,
    B: Body<Data = Bytes> + Unpin,
{
    let began = Instant::now();
    let mut count = Count::Edge(http_method(&head.method));
    let page = guard::check_origin(&edge.config, &head.headers);
    let outcome = match &page {
        Ok(_) => route(edge, (head, peer), body, &mut count).await,
        Err(failure) => Err(Refusal::early(failure.clone())),
    };
    if let Count::Edge(method) = count {
        let failure = outcome.as_ref().err().map(|refused| &refused.failure);
        edge.observer.answered(method, failure, began.elapsed().as_secs_f64());
        let kind = failure.map_or("ok", |failure| failure.spec().kind);
        tracing::debug!(method, kind, "Answered a request");
    }
    if let Err(refused) = &outcome {
        audit::record_refusal(head, peer, &refused.failure);
    }
    let mut response = outcome.unwrap_or_else(|refused| refusal_response(&refused));
    if let Ok(Some(origin)) = page {
        cors::expose(origin.clone(), response.headers_mut());
    }
    response
}

/// By path, then by HTTP method.
async fn route<C, B>(edge: &Edge<C>, (head, peer): Came<'_>, body: B, count: &mut Count) -> Outcome<C::Stream>
where
    C: Calls,
    B: Body<Data = Bytes> + Unpin,
{
    let path = head.uri.path();
    let is_health = path == HEALTH;
    if !is_health && !PATHS.contains(&path) {
        return Err(Refusal::early(Failure::PathNotFound));
    }
    match (&head.method, is_health) {
        (&Method::OPTIONS, _) => {
            let mut response = empty(StatusCode::NO_CONTENT);
            cors::preflight(&head.headers, response.headers_mut());
            Ok(response)
        }
        (&Method::GET | &Method::HEAD, true) => Ok(health(edge)),
        (&Method::POST, false) => {
            let principal = key(edge, (head, peer))?;
            *count = Count::Edge("invalid");
            let mut post = Post { edge, headers: &head.headers, principal, peer, count: *count };
            let outcome = post.answer(body).await;
            *count = post.count;
            outcome
        }
        (&Method::GET, false) => get(edge, head, &key(edge, (head, peer))?),
        (&Method::DELETE, false) => delete(edge, head, &key(edge, (head, peer))?),
        (method, _) => Err(Refusal::early(Failure::HttpMethodNotAllowed(http_method(method).to_owned()))),
    }
}

fn key<C>(edge: &Edge<C>, (head, peer): Came<'_>) -> Result<Principal, Refusal> {
    guard::authenticate(&edge.config, &head.headers).map_err(|failure| {
        let peer = peer.map_or_else(|| "?".to_owned(), |peer| peer.to_string());
        tracing::info!(peer, "Request refused: {failure}");
        Refusal { failure, era: era::era_by_header(&head.headers), id: None }
    })
}

/// A legacy client's stream. Modern ones have none (2026-07-28, Streamable HTTP, "Earlier Revisions").
fn get<C: Calls>(edge: &Edge<C>, head: &Parts, principal: &Principal) -> Outcome<C::Stream> {
    let refused = |failure| Refusal { failure, era: era::era_by_header(&head.headers), id: None };
    if era::era_by_header(&head.headers) == Era::Modern {
        return Err(refused(Failure::HttpMethodNotAllowed("GET".into())));
    }
    if !accepts_events(&head.headers) {
        return Err(refused(Failure::NotAcceptable("GET opens a stream: accept text/event-stream".into())));
    }
    era::legacy(edge, &head.headers, principal).map_err(refused)?;
    Ok(events(ResponseBody::Listen(listen(edge))))
}

/// The end of a session (2025-11-25, Transports, "Session Management").
fn delete<C: Calls>(edge: &Edge<C>, head: &Parts, principal: &Principal) -> Outcome<C::Stream> {
    let refused = |failure| Refusal { failure, era: era::era_by_header(&head.headers), id: None };
    if era::era_by_header(&head.headers) == Era::Modern {
        return Err(refused(Failure::HttpMethodNotAllowed("DELETE".into())));
    }
    let session = era::session(edge, &head.headers, principal).map_err(refused)?;
    let session = session.ok_or_else(|| refused(Failure::SessionNotFound))?;
    edge.ended.add(&session, now());
    edge.calls.end_session(&session.key());
    Ok(empty(StatusCode::OK))
}

fn health<C: Calls>(edge: &Edge<C>) -> Response<ResponseBody<C::Stream>> {
    let body = json!({
        "status": "ok",
        "server": edge.config.name,
        "role": edge.config.role,
        "version": edge.config.version,
        "protocol": Version::NEWEST.as_str(),
        "activeSessions": edge.listeners(),
    });
    let mut response = json(StatusCode::OK, Segments::one(body.to_string().into()));
    response.headers_mut().insert(axum::http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The HTTP method as a label.
fn http_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
