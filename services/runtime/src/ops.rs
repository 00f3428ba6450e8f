//! What an operator's machinery asks over HTTP: `/healthz`, `/readyz`, `/metrics`.
//!
//! Knows nothing of what makes a service ready; a closure says it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, json};

use crate::metrics::Metrics;

/// Whether a service takes work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    reason: Option<String>,
    facts: Vec<(&'static str, u64)>,
}

impl Readiness {
    /// It does.
    pub fn ready() -> Self {
        Self { reason: None, facts: Vec::new() }
    }

    /// It does not, because of this.
    pub fn not_ready(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), facts: Vec::new() }
    }

    /// The same, with a number that belongs to it, say `slaves`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: u64) -> Self {
        self.facts.push((name, value));
        self
    }

    /// 200 or 503, and `{"ready":…,"reason":…,…}`.
    fn answer(&self) -> Response {
        let status = if self.reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut body = Map::new();
        body.insert("ready".into(), self.reason.is_none().into());
        if let Some(reason) = &self.reason {
            body.insert("reason".into(), reason.as_str().into());
        }
        body.extend(self.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        let text = serde_json::Value::Object(body).to_string();
        (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
    }
}

/// What is asked with a POST of JSON: the answer's JSON, or why the question cannot be answered.
type Inquiry = dyn Fn(&[u8]) -> Result<String, String> + Send + Sync;

/// The three endpoints, and inquiries of the service's own. Clones answer alike.
#[derive(Clone)]
pub struct Ops {
    ready: Arc<dyn Fn() -> Readiness + Send + Sync>,
    metrics: Metrics,
    inquiries: Vec<(&'static str, Arc<Inquiry>)>,
}

impl Ops {
    /// `ready` is asked at every `/readyz`; it must not block.
    pub fn new(metrics: Metrics, ready: impl Fn() -> Readiness + Send + Sync + 'static) -> Self {
        Self { ready: Arc::new(ready), metrics, inquiries: Vec::new() }
    }

    /// Answers a POST to `path` as well. Whoever serves it asks for a key first. It must not block.
    #[must_use]
    pub fn with_inquiry(
        mut self,
        path: &'static str,
        answer: impl Fn(&[u8]) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        self.inquiries.push((path, Arc::new(answer)));
        self
    }

    /// Whether a POST to this path is an inquiry.
    pub fn has_inquiry(&self, path: &str) -> bool {
        self.inquiries.iter().any(|(known, _)| *known == path)
    }

    /// Answers an inquiry: 200 or 400, JSON either way. `None` for a path that is none.
    pub fn inquire(&self, path: &str, body: &[u8]) -> Option<Response> {
        let (_, answer) = self.inquiries.iter().find(|(known, _)| *known == path)?;
        let (status, text) = match answer(body) {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => (StatusCode::BAD_REQUEST, json!({ "error": error }).to_string()),
        };
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        Some((status, headers, text).into_response())
    }

    /// Answers a GET of one of the three paths, `None` for any other path.
    pub fn answer(&self, path: &str) -> Option<Response> {
        let plain = |kind: &'static str, text: String| ([(header::CONTENT_TYPE, kind)], text).into_response();
        let mut response = match path {
            "/healthz" => plain("text/plain", "ok\n".into()),
            "/readyz" => (self.ready)().answer(),
            "/metrics" => plain("text/plain; version=0.0.4; charset=utf-8", self.metrics.render()),
            _ => return None,
        };
        response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        Some(response)
    }

    /// The same as an axum router.
    pub fn router(self) -> Router {
        async fn serve(State(ops): State<Ops>, uri: Uri) -> Response {
            ops.answer(uri.path()).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
        }
        let handler = get(serve);
        Router::new()
            .route("/healthz", handler.clone())
            .route("/readyz", handler.clone())
            .route("/metrics", handler)
            .with_state(self)
    }
}

impl std::fmt::Debug for Ops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ops")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_follows_the_service_and_gives_its_reason() {
        let up = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&up);
        let ready = move || {
            let state = if seen.load(Ordering::Relaxed) {
                Readiness::ready()
            } else {
                Readiness::not_ready("draining")
            };
            state.with("slaves", 2)
        };
        let router = Ops::new(Metrics::for_test(), ready).router();
        let (status, body) = ask(&router, "/readyz").await;
        assert_eq!(
            (status.as_u16(), body.as_str()),
            (503, r#"{"ready":false,"reason":"draining","slaves":2}"#)
        );
        up.store(true, Ordering::Relaxed);
        let (status, body) = ask(&router, "/readyz").await;
        assert_eq!((status.as_u16(), body.as_str()), (200, r#"{"ready":true,"slaves":2}"#));
        assert_eq!(ask(&router, "/healthz").await, (StatusCode::OK, "ok\n".into()));
        assert!(ask(&router, "/metrics").await.1.contains("process_cpu_seconds_total"));
        assert_eq!(ask(&router, "/other").await.0, StatusCode::NOT_FOUND);
    }
}
