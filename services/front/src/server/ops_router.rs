//! The operators' endpoints as an axum router with the layers that all of them share. Must not know what the endpoints
//! answer, nor which port serves them.
//!
//! `/mcp` never enters the router: the server hands it a request only for a path that [`Ops`] knows. Layers, outermost
//! first: request id, trace, response headers, compression, failure table, authorization, panics, body limit, timeout.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;
use futures_util::stream::Empty;
use protocol::link::call::ResponseEvent;
use protocol::mcp::failure::Failure;
use runtime::ops::{AuthPolicy, CONTENT_POLICY, OPERATOR_CALLS, Operator, Ops};
use tower::{Service, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::{DefaultOnResponse, MakeSpan, TraceLayer};

use crate::calls::Calls;
use crate::config::EdgeConfig;
use crate::edge::Edge;
use crate::http::audit;
use crate::http::client_address::ClientAddress;
use crate::http::health::HEALTH;
use crate::http::operator;
use crate::http::path::known_path;
use crate::http::response::{Refusal, refusal_response};

use super::ops_access::check_access;
use super::page_request::{FRONT_DOOR, asks_for_page};

/// Bytes from which on a response is compressed, for clients that accept gzip.
const MIN_COMPRESSED_BYTES: u64 = 1024;

/// The operators' endpoints of one port. Clones share them.
#[derive(Clone)]
pub(super) struct OpsRouter(Arc<Inner>);

struct Inner {
    ops: Ops,
    router: Router,
    /// How long a client may take nothing of a response.
    stall: Duration,
}

/// The address of the client's connection.
#[derive(Clone, Copy)]
struct Peer(Option<IpAddr>);

/// State of the middleware.
#[derive(Clone)]
struct Gate {
    ops: Ops,
    config: Arc<EdgeConfig>,
}

impl OpsRouter {
    /// Puts the layers around the endpoints. `config` says who may use them.
    pub(super) fn new(ops: Ops, config: Arc<EdgeConfig>) -> Self {
        let stall = config.limits.stall;
        let router = with_layers(&ops, config);
        Self(Arc::new(Inner { ops, router, stall }))
    }

    /// Returns how long a client may take nothing of a response.
    pub(super) fn stall(&self) -> Duration {
        self.0.stall
    }

    /// Returns a router that also has the routes that `add` gives it, outside of all layers.
    pub(super) fn with_routes(self, add: impl FnOnce(Router) -> Router) -> Self {
        let Inner { ops, router, stall } = &*self.0;
        Self(Arc::new(Inner { ops: ops.clone(), router: add(router.clone()), stall: *stall }))
    }

    /// Returns a router that also has the MCP endpoint of operators in front of `edge`, if the endpoints have it. Its answers are streams, which
    /// the layers would hold up.
    pub(super) fn with_calls<C: Calls>(self, edge: Arc<Edge<C>>, config: Arc<EdgeConfig>) -> Self {
        if self.0.ops.policy(OPERATOR_CALLS).is_none() {
            return self;
        }
        let answer = async move |Extension(Peer(peer)): Extension<Peer>, request: Request| {
            let client = ClientAddress::of(&config.trusted, peer, request.headers());
            let (head, body) = request.into_parts();
            let admitted = check_access(&config, AuthPolicy::Operate, client, &head);
            let sender = operator::Sender { client, admitted };
            let mut response = operator::serve(&edge, &config, &head, sender, body).await.map(Body::new);
            for (name, value) in STATIC_HEADERS {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            response
        };
        self.with_routes(|router| router.route(OPERATOR_CALLS, any(answer)))
    }

    /// Whether the request is for one of the endpoints. `/` is a path of MCP too: of it, only what browsers ask for is.
    pub(super) fn takes<B>(&self, request: &axum::http::Request<B>) -> bool {
        match known_path(request.uri().path(), |path| self.0.ops.policy(path).is_some()) {
            None => false,
            Some(FRONT_DOOR) => asks_for_page(request.method(), request.headers()),
            Some(_) => true,
        }
    }

    /// Returns the target by which the router knows a path that has a slash too many at its end.
    fn known_uri(&self, uri: &Uri) -> Option<Uri> {
        let is_known = |path: &str| self.0.ops.policy(path).is_some() || path == HEALTH;
        let path = known_path(uri.path(), is_known).filter(|path| path.len() < uri.path().len())?;
        let target = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(target.parse().ok()?);
        Uri::from_parts(parts).ok()
    }

    /// Answers a request of the client at `peer`.
    pub(super) async fn answer<B>(
        self,
        request: axum::http::Request<B>,
        peer: Option<IpAddr>,
    ) -> Result<Response, Infallible>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        if let Some(uri) = self.known_uri(request.uri()) {
            *request.uri_mut() = uri;
        }
        // An axum router is always ready.
        self.0.router.clone().call(request).await
    }
}

/// Headers of every response.
const STATIC_HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
];

fn with_layers(ops: &Ops, config: Arc<EdgeConfig>) -> Router {
    let (max_body, timeout) = (config.max_body, config.request_timeout);
    let gate = Gate { ops: ops.clone(), config };
    let [cache, content, sniffing, frames, referrer] = STATIC_HEADERS
        .map(|(name, value)| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value)));
    let trace = TraceLayer::new_for_http()
        .make_span_with(RequestLogSpan)
        .on_request(())
        .on_response(DefaultOnResponse::new())
        .on_failure(());
    let outer = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(trace)
        .layer(cache)
        .layer(content)
        .layer(sniffing)
        .layer(frames)
        .layer(referrer)
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(MIN_COMPRESSED_BYTES)));
    let inner = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(RequestBodyLimitLayer::new(max_body))
        .layer(DefaultBodyLimit::disable())
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, timeout));
    ops.router()
        .layer(inner)
        .layer(from_fn_with_state(gate.clone(), authorize))
        .layer(from_fn_with_state(gate, use_failure_table))
        .layer(outer)
}

/// The span of log lines about a request, at `debug`.
#[derive(Clone, Copy)]
struct RequestLogSpan;

impl<B> MakeSpan<B> for RequestLogSpan {
    fn make_span(&mut self, request: &axum::http::Request<B>) -> tracing::Span {
        let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        tracing::debug_span!("ops", method = %request.method(), path = request.uri().path(), id)
    }
}

/// Beginning of the paths of the API, whose readers are in the audit stream.
const API: &str = "/api/";

/// Refuses requests that the endpoint's [`AuthPolicy`] does not allow.
async fn authorize(
    State(Gate { ops, config }): State<Gate>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let policy = ops.policy(request.uri().path()).unwrap_or(AuthPolicy::Open);
    let client = ClientAddress::of(&config.trusted, peer, request.headers());
    let (head, body) = request.into_parts();
    match check_access(&config, policy, client, &head) {
        Ok(reader) => {
            if policy != AuthPolicy::Operate && head.uri.path().starts_with(API) {
                audit::record_read(head.uri.path(), client.named, &reader);
            }
            let mut request = Request::from_parts(head, body);
            request.extensions_mut().insert(Operator { key_id: reader.key_id(), peer: client.named });
            next.run(request).await
        }
        Err(failure) => {
            audit::record_refusal(&head, client.named, &failure);
            refusal(failure)
        }
    }
}

/// Replaces the responses of router and layers by those of the failure table, which has all statuses and codes.
async fn use_failure_table(
    State(Gate { config, .. }): State<Gate>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    let Some(failure) = failure_of(&response, &method, config.max_body) else { return response };
    let allowed = response.headers().get(ALLOW).cloned();
    let mut refusal = refusal(failure);
    if let Some(allowed) = allowed {
        refusal.headers_mut().insert(ALLOW, allowed);
    }
    refusal
}

/// Returns the failure that a response of router and layers stands for. Endpoints and refusals answer in JSON.
fn failure_of(response: &Response, method: &Method, max_body: usize) -> Option<Failure> {
    if response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json") {
        return None;
    }
    match response.status() {
        StatusCode::NOT_FOUND => Some(Failure::PathNotFound),
        StatusCode::METHOD_NOT_ALLOWED => Some(Failure::HttpMethodNotAllowed(method.to_string())),
        StatusCode::PAYLOAD_TOO_LARGE => Some(Failure::BodyTooLarge { limit: max_body }),
        StatusCode::REQUEST_TIMEOUT => Some(Failure::BodyTimeout("the body did not arrive in time".into())),
        StatusCode::INTERNAL_SERVER_ERROR => Some(Failure::Internal),
        status if status.is_client_error() => Some(Failure::InvalidRequest("the body broke off".into())),
        _ => None,
    }
}

/// Builds the response of a refusal.
pub(super) fn refusal(failure: Failure) -> Response {
    // Operators name no version of MCP.
    let headers = HeaderMap::new();
    refusal_response::<Empty<ResponseEvent>>(&Refusal::unread(failure, &headers), &headers).map(Body::new)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use runtime::ops::{Endpoints, Readiness};

    use super::*;
    use runtime::secret::{SecretSet, SessionKey};

    fn router(adapt: impl FnOnce(&mut EdgeConfig)) -> OpsRouter {
        let mut config = EdgeConfig::new("test", "1", SessionKey::random().unwrap());
        config.max_body = 16;
        config.request_timeout = Duration::from_secs(5);
        adapt(&mut config);
        let text = "x".repeat(4000);
        let ops = Endpoints::without_metrics(Readiness::ready)
            .with_document("/api/v1/long", move |_| serde_json::Value::from(text.as_str()))
            .with_document("/api/v1/panic", |_| -> String { panic!("a bug") })
            .with_request("/api/v1/ask", |body| {
                if body == b"{}" { Ok("{}".into()) } else { Err("no object".into()) }
            })
            .build();
        OpsRouter::new(ops, Arc::new(config))
    }

    struct Answer {
        status: u16,
        headers: HeaderMap,
        text: String,
    }

    async fn ask(
        router: &OpsRouter,
        method: Method,
        path: &str,
        body: Body,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = axum::http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = router.clone().answer(request.body(body).unwrap(), None).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: head.status.as_u16(), headers: head.headers, text }
    }

    #[tokio::test]
    async fn every_response_has_the_common_headers() {
        let router = router(|_| ());
        for path in ["/healthz", "/api/v1/long", "/api/v1/ask", "/api/v1/panic"] {
            let answer = ask(&router, Method::GET, path, Body::empty(), &[("x-request-id", "r1")]).await;
            assert_eq!(answer.headers[CACHE_CONTROL], "no-store", "{path}");
            assert_eq!(answer.headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert_eq!(answer.headers["x-request-id"], "r1", "{path}");
            assert!(answer.headers.contains_key(CONTENT_SECURITY_POLICY), "{path}");
        }
        let answer = ask(&router, Method::GET, "/healthz", Body::empty(), &[]).await;
        assert!(!answer.headers["x-request-id"].is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn responses_of_the_layers_come_from_the_failure_table() {
        let router = router(|_| ());
        let (get, post) = (Method::GET, Method::POST);
        let long = || Body::from("x".repeat(17));
        let pieces = || Body::from_stream(futures_util::stream::iter([Ok::<_, Infallible>("x".repeat(17))]));
        let silent = || Body::from_stream(futures_util::stream::pending::<Result<String, Infallible>>());
        for (method, path, body, kind) in [
            (post.clone(), "/api/v1/long", Body::empty(), (405, "http_method_not_allowed")),
            (get.clone(), "/api/v1/ask", Body::empty(), (405, "http_method_not_allowed")),
            (post.clone(), "/api/v1/ask", long(), (413, "body_too_large")),
            (post.clone(), "/api/v1/ask", pieces(), (413, "body_too_large")),
            (post.clone(), "/api/v1/ask", silent(), (408, "body_timeout")),
            (get.clone(), "/api/v1/panic", Body::empty(), (500, "internal")),
            (get, "/nowhere", Body::empty(), (404, "path_not_found")),
        ] {
            let answer = ask(&router, method, path, body, &[]).await;
            let value: serde_json::Value = serde_json::from_str(&answer.text).expect(&answer.text);
            assert_eq!(
                (answer.status, value["error"]["data"]["kind"].as_str()),
                (kind.0, Some(kind.1)),
                "{path}"
            );
            assert_eq!(answer.headers.contains_key(ALLOW), answer.status == 405, "{path}");
        }
        let answer = ask(&router, post, "/api/v1/ask", Body::from("[]"), &[]).await;
        assert_eq!((answer.status, answer.text.as_str()), (400, r#"{"error":"no object"}"#));
    }

    #[tokio::test]
    async fn keys_are_asked_for_as_the_policies_say() {
        let router = router(|config| config.keys = SecretSet::new(["key1"]).into());
        for (method, path, status) in [
            (Method::GET, "/healthz", 200),
            (Method::GET, "/healthz/", 200),
            (Method::GET, "/api/v1/long/?a=b", 401),
            (Method::PUT, "/readyz", 200),
            (Method::GET, "/api/v1/long", 401),
            (Method::POST, "/api/v1/ask", 401),
        ] {
            let answer = ask(&router, method.clone(), path, Body::from("{}"), &[]).await;
            assert_eq!(answer.status, status, "{path}");
            let key = [("authorization", "Bearer key1")];
            assert_eq!(ask(&router, method, path, Body::from("{}"), &key).await.status, 200, "{path}");
        }
        let foreign = [("authorization", "Bearer key1"), ("origin", "https://evil.example")];
        assert_eq!(ask(&router, Method::GET, "/api/v1/long", Body::empty(), &foreign).await.status, 403);
    }

    #[tokio::test]
    async fn long_responses_are_compressed_for_clients_that_accept_it() {
        let router = router(|_| ());
        let gzip = [("accept-encoding", "gzip")];
        let answer = ask(&router, Method::GET, "/api/v1/long", Body::empty(), &gzip).await;
        assert_eq!(answer.headers["content-encoding"], "gzip");
        for (path, headers) in [("/healthz", &gzip[..]), ("/api/v1/long", &[])] {
            let answer = ask(&router, Method::GET, path, Body::empty(), headers).await;
            assert!(!answer.headers.contains_key("content-encoding"), "{path}");
        }
    }

    #[tokio::test]
    async fn routes_beside_the_endpoints_have_no_layers() {
        let router = router(|_| ()).with_routes(|router| router.route("/own", get(async || "own")));
        let takes = |path| router.takes(&axum::http::Request::get(path).body(()).unwrap());
        assert!(!takes("/own") && takes("/healthz"));
        let answer = ask(&router, Method::GET, "/own", Body::empty(), &[]).await;
        assert_eq!((answer.text.as_str(), answer.headers.contains_key("x-request-id")), ("own", false));
    }
}
