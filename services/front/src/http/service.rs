//! The endpoint as a service: paths, HTTP methods, and the order of the checks. Must not know MCP's methods.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body::Body;
use protocol::mcp::failure::Failure;
use tower::Service;

use super::client_address::ClientAddress;
use super::context::{CountedBy, Handled, RequestContext};
use super::era::detect::era_by_header;
use super::guard::Audience;
use super::health::{HEALTH, health};
use super::path::known_path;
use super::response::{Refusal, empty, refusal_response};
use super::response_body::ResponseBody;
use super::revocation::{Ending, until_revoked};
use super::skip::skip_small;
use super::{audit, authorities, cors, guard, listen, metadata, post, session_end, sse_transport};
use crate::calls::Calls;
use crate::edge::Edge;

/// Paths of the MCP endpoint: `/mcp` and its aliases. Each is served with a slash at its end, too.
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

impl<C: Calls> McpService<C> {
    /// Refuses a request whose head breaks the rules of HTTP, whatever it asks for, and counts it.
    pub(crate) fn refuse(
        &self,
        method: &Method,
        headers: &HeaderMap,
        failure: Failure,
    ) -> Response<ResponseBody<C::Stream>> {
        self.edge.meter.record_answer(http_method_label(method), Some(&failure), 0.0);
        refusal_response(&Refusal::unread(failure, headers), headers)
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
            let client = ClientAddress::of(&edge.config.trusted, peer, &head.headers);
            Ok(serve(&edge, &head, client, body).await)
        })
    }
}

/// Answers one request, counts it, records a refusal in the audit stream, and adds the CORS headers.
async fn serve<C, B>(
    edge: &Arc<Edge<C>>,
    head: &Parts,
    client: ClientAddress,
    mut body: B,
) -> Response<ResponseBody<C::Stream>>
where
    C: Calls,
    B: Body<Data = Bytes> + Unpin,
{
    let began = Instant::now();
    if let Some(response) = metadata::answer(edge, head, &PATHS) {
        edge.meter.record_answer(http_method_label(&head.method), None, began.elapsed().as_secs_f64());
        return response;
    }
    let authority = authorities::authority_of(&edge.config, head);
    // The authorization server has pages of its own, and answers pages of others without a browser's credentials.
    let origin = match authority {
        Some(_) => Ok(None),
        None => guard::check_origin(&edge.config, &head.headers),
    };
    let admitted = origin.as_ref().map(drop).map_err(Clone::clone).and_then(|()| check_host(edge, head));
    let handled = match admitted {
        Ok(()) => match authority {
            Some(authority) => {
                let answer = authorities::answer(Arc::clone(authority), head, client, &mut body).await;
                Handled::by_edge(http_method_label(&head.method), answer)
            }
            None => route(edge, head, client, &mut body).await,
        },
        Err(failure) => {
            Handled::by_edge(http_method_label(&head.method), Err(Refusal::unread(failure, &head.headers)))
        }
    };
    let mut response = finish(edge, head, client, began, handled, &mut body).await;
    if let Ok(Some(origin)) = origin {
        cors::expose(origin.clone(), response.headers_mut());
    }
    response
}

/// Counts a request, records a refusal in the audit stream, and returns the response.
pub(super) async fn finish<C, B>(
    edge: &Edge<C>,
    head: &Parts,
    client: ClientAddress,
    began: Instant,
    handled: Handled<C::Stream>,
    body: &mut B,
) -> Response<ResponseBody<C::Stream>>
where
    C: Calls,
    B: Body<Data = Bytes> + Unpin,
{
    let Handled { result, counted_by } = handled;
    if let CountedBy::Edge(label) = counted_by {
        let failure = result.as_ref().err().map(|refusal| &refusal.failure);
        edge.meter.record_answer(label, failure, began.elapsed().as_secs_f64());
        let kind = failure.map_or("ok", |failure| failure.spec().kind);
        tracing::debug!(method = label, kind, "Answered a request");
    }
    if let Err(refusal) = &result {
        audit::record_refusal(head, client.named, &refusal.failure);
        skip_small(&head.headers, body).await;
    }
    result.unwrap_or_else(|refusal| refuse(edge, head, &refusal))
}

/// Builds the response of a refusal, with the challenge that tells how to be let in.
fn refuse<C: Calls>(edge: &Edge<C>, head: &Parts, refusal: &Refusal) -> Response<ResponseBody<C::Stream>> {
    let mut response = refusal_response(refusal, &head.headers);
    let config = &edge.config;
    let shown = guard::shown(config, &head.headers);
    let of_authority = || authorities::challenge(config, &refusal.failure, shown);
    let of_tokens = || metadata::challenge(config.tokens.as_ref(), &refusal.failure, shown);
    if let Some(challenge) = of_authority().or_else(of_tokens) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Returns the edge's own name of the path that a request names, if there is one.
fn path_of(head: &Parts) -> Option<&str> {
    known_path(head.uri.path(), |path| path == HEALTH || PATHS.contains(&path))
}

/// Checks the host that a request names. Health checks may name any.
fn check_host<C>(edge: &Edge<C>, head: &Parts) -> Result<(), Failure> {
    if path_of(head) == Some(HEALTH) {
        return Ok(());
    }
    guard::check_host(&edge.config, Audience::Clients, &head.uri, &head.headers)
}

/// Hands a request on by its path and its HTTP method.
async fn route<C, B>(edge: &Arc<Edge<C>>, head: &Parts, client: ClientAddress, body: B) -> Handled<C::Stream>
where
    C: Calls,
    B: Body<Data = Bytes> + Unpin,
{
    let label = http_method_label(&head.method);
    let Some(path) = path_of(head) else {
        return Handled::by_edge(label, Err(Refusal::unread(Failure::PathNotFound, &head.headers)));
    };
    let is_health = path == HEALTH;
    match (&head.method, is_health) {
        (&Method::OPTIONS, _) => {
            let mut response = empty(StatusCode::NO_CONTENT);
            cors::preflight(&head.headers, response.headers_mut());
            Handled::by_edge(label, Ok(response))
        }
        (&Method::GET | &Method::HEAD, true) => Handled::by_edge(label, Ok(health(edge))),
        (&Method::POST | &Method::GET | &Method::DELETE, false) => {
            let (context, ending) = match authenticate(edge, head, client).await {
                Ok(admitted) => admitted,
                Err(refusal) => return Handled::by_edge(label, Err(refusal)),
            };
            let handled = pin!(handle(&context, head, body));
            match ending {
                None => handled.await,
                Some(ending) => {
                    let refusal = context.refusal(ending.failure());
                    let refused = || Handled::by_edge(label, Err(refusal));
                    Box::pin(until_revoked(ending, handled, refused)).await
                }
            }
        }
        _ => {
            let failure = Failure::HttpMethodNotAllowed(label.to_owned());
            Handled::by_edge(label, Err(Refusal::unread(failure, &head.headers)))
        }
    }
}

/// Handles a request by its HTTP method: POST, GET, or else DELETE.
async fn handle<C, B>(context: &RequestContext<'_, C>, head: &Parts, body: B) -> Handled<C::Stream>
where
    C: Calls,
    B: Body<Data = Bytes> + Unpin,
{
    let label = http_method_label(&head.method);
    match head.method {
        Method::POST => match sse_transport::endpoint(&head.uri) {
            Some(token) => sse_transport::post(context, token, body).await,
            None => post::handle(context, body).await,
        },
        Method::GET if sse_transport::is_asked_for(&head.uri, context.headers) => {
            Handled::by_edge(label, sse_transport::open(context).await)
        }
        Method::GET => Handled::by_edge(label, listen::handle(context).await),
        _ => Handled::by_edge(label, session_end::handle(context)),
    }
}

/// Identifies the sender of a request, and returns the end of what it showed.
async fn authenticate<'a, C>(
    edge: &'a Arc<Edge<C>>,
    head: &'a Parts,
    client: ClientAddress,
) -> Result<(RequestContext<'a, C>, Option<Ending>), Refusal> {
    let ClientAddress { connection, named: peer } = client;
    match guard::authenticate_client(&edge.config, connection, head).await {
        Ok((credential, ending)) => {
            let principal = credential.principal();
            Ok((RequestContext { edge, headers: &head.headers, credential, principal, peer }, ending))
        }
        Err(failure) => Err(Refusal { failure, era: era_by_header(&head.headers), id: None }),
    }
}

/// Returns an HTTP method as a label of metrics.
pub(super) fn http_method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
