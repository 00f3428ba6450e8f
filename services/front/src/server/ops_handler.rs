//! Answers the operator's paths: who may ask for what. Must not know what the answers say, nor which port it is.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response};
use futures_util::stream::Empty;
use hyper::body::Incoming;
use protocol::link::call::ResponseEvent;
use protocol::mcp::failure::Failure;
use runtime::ops::{AuthPolicy, Ops};

use crate::config::EdgeConfig;
use crate::http::audit;
use crate::http::guard::{authenticate, check_origin};
use crate::http::request_body::{BodyLimits, read_body};
use crate::http::response::{Refusal, refusal_response};

/// The answer to a request from `peer` for a path that [`Ops::access`] knows.
pub(super) async fn answer(
    (config, access): (&EdgeConfig, AuthPolicy),
    ops: &Ops,
    (request, peer): (Request<Incoming>, Option<IpAddr>),
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if let Err(failure) = admit(config, access, &head.headers) {
        let peer = peer.map(|peer| config.trusted.client(peer, &head.headers));
        audit::record_refusal(&head, peer, &failure);
        return refused(failure);
    }
    let found = match (access, &head.method) {
        (AuthPolicy::OpsRequest, &Method::POST) => {
            let limits = BodyLimits { max_bytes: config.max_body, timeout: config.request_timeout };
            match read_body(&head.headers, body, limits).await {
                Ok(body) => ops.inquire(path, &body),
                Err(failure) => return refused(failure),
            }
        }
        (AuthPolicy::OpsRequest, method) => return wrong_method(method, "POST"),
        // As ever: probes of some load balancers know no other method than their own.
        (AuthPolicy::Open, _) | (_, &Method::GET | &Method::HEAD) => ops.answer(path),
        (_, method) => return wrong_method(method, "GET, HEAD"),
    };
    found.unwrap_or_else(|| refused(Failure::PathNotFound))
}

/// Everything but the health checks and what is the same for everybody needs a key, and no foreign web page may ask.
fn admit(config: &EdgeConfig, access: AuthPolicy, headers: &HeaderMap) -> Result<(), Failure> {
    match access {
        AuthPolicy::Open => Ok(()),
        AuthPolicy::Page => check_origin(config, headers).map(|_| ()),
        AuthPolicy::Key | AuthPolicy::OpsRequest => {
            check_origin(config, headers)?;
            authenticate(config, headers).map(|_| ())
        }
    }
}

fn refused(failure: Failure) -> Response<Body> {
    refusal_response::<Empty<ResponseEvent>>(&Refusal::unread(failure)).map(Body::new)
}

fn wrong_method(method: &Method, allowed: &'static str) -> Response<Body> {
    let mut response = refused(Failure::HttpMethodNotAllowed(method.to_string()));
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allowed));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
