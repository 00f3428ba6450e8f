//! A forwarder that sends each HTTP request to a random address: the client of many replicas without a sticky load balancer.
//!
//! Knows HTTP; must not know MCP. Bodies are streamed both ways; a client that leaves ends its request upstream.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

#[derive(Debug)]
struct Splitter {
    targets: Vec<String>,
    client: Client<HttpConnector, Body>,
}

/// Router that forwards everything.
pub(crate) fn router(targets: Vec<String>) -> Router {
    let client = Client::builder(TokioExecutor::new()).build_http();
    Router::new().fallback(forward).with_state(Arc::new(Splitter { targets, client }))
}

/// Forwards one request. The `Host` of the client stays, so that the target's check of hosts is the client's.
async fn forward(State(splitter): State<Arc<Splitter>>, mut request: Request) -> Response {
    let target = &splitter.targets[random(splitter.targets.len())];
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    match format!("http://{target}{path}").parse::<Uri>() {
        Ok(uri) => *request.uri_mut() = uri,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
    match splitter.client.request(request).await {
        Ok(response) => response.map(Body::new).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// Random number below `bound`, from the randomness of hash maps' keys.
fn random(bound: usize) -> usize {
    let bound = u64::try_from(bound).unwrap_or(1).max(1);
    usize::try_from(RandomState::new().hash_one(std::time::Instant::now()) % bound).unwrap_or(0)
}
