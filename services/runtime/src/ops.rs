//! What an operator's machinery asks over HTTP: `/healthz`, `/readyz`, `/metrics`, and what the service adds: documents
//! of JSON, pages, inquiries.
//!
//! Knows nothing of what makes a service ready, nor of what its documents say; closures do.

mod readiness;
pub mod ui;

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub use readiness::Readiness;
pub use ui::Page;

use crate::metrics::Metrics;

/// What is asked with a POST of JSON: the answer's JSON, or why the question cannot be answered.
type OpsRequest = dyn Fn(&[u8]) -> Result<String, String> + Send + Sync;

/// What is asked with a GET: JSON, given whether the service is ready.
type Document = dyn Fn(&Readiness) -> Value + Send + Sync;

/// Who may ask for a path. Whoever serves [`Ops`] sees to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthPolicy {
    /// Anybody: health checks.
    Open,
    /// Anybody but foreign web pages: it says nothing of this server.
    Page,
    /// Whoever shows a key, where keys are asked for.
    Key,
    /// The same, by POST.
    OpsRequest,
}

enum Kind {
    Health,
    Ready,
    Metrics,
    Document(Arc<Document>),
    Page(Page),
    OpsRequest(Arc<OpsRequest>),
}

impl Kind {
    fn access(&self) -> AuthPolicy {
        match self {
            Self::Health | Self::Ready => AuthPolicy::Open,
            Self::Page(_) => AuthPolicy::Page,
            Self::Metrics | Self::Document(_) => AuthPolicy::Key,
            Self::OpsRequest(_) => AuthPolicy::OpsRequest,
        }
    }
}

/// All endpoints of one service. Clones answer alike.
#[derive(Clone)]
pub struct Ops(Arc<Inner>);

struct Inner {
    ready: Box<dyn Fn() -> Readiness + Send + Sync>,
    metrics: Metrics,
    paths: Vec<(&'static str, Kind)>,
}

/// [`Ops`] while it is put together.
pub struct Endpoints(Inner);

impl Endpoints {
    /// The three endpoints. `ready` is asked at every `/readyz`; it must not block.
    pub fn new(metrics: Metrics, ready: impl Fn() -> Readiness + Send + Sync + 'static) -> Self {
        let paths = vec![("/healthz", Kind::Health), ("/readyz", Kind::Ready), ("/metrics", Kind::Metrics)];
        Self(Inner { ready: Box::new(ready), metrics, paths })
    }

    /// Answers a POST to `path` as well. It must not block.
    #[must_use]
    pub fn with_inquiry(
        self,
        path: &'static str,
        answer: impl Fn(&[u8]) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        self.with(path, Kind::OpsRequest(Arc::new(answer)))
    }

    /// Answers a GET of `path` with JSON. It must not block.
    #[must_use]
    pub fn with_document(
        self,
        path: &'static str,
        write: impl Fn(&Readiness) -> Value + Send + Sync + 'static,
    ) -> Self {
        self.with(path, Kind::Document(Arc::new(write)))
    }

    /// Serves these pages.
    #[must_use]
    pub fn with_pages(self, pages: impl IntoIterator<Item = Page>) -> Self {
        pages.into_iter().fold(self, |all, page| all.with(page.path, Kind::Page(page)))
    }

    fn with(mut self, path: &'static str, kind: Kind) -> Self {
        self.0.paths.push((path, kind));
        self
    }

    /// Ready to be served.
    pub fn build(self) -> Ops {
        Ops(Arc::new(self.0))
    }
}

impl Ops {
    /// Who may ask for this path; `None`: it is none of these.
    pub fn access(&self, path: &str) -> Option<AuthPolicy> {
        self.find(path).map(Kind::access)
    }

    fn find(&self, path: &str) -> Option<&Kind> {
        self.0.paths.iter().find(|(known, _)| *known == path).map(|(_, kind)| kind)
    }

    /// Answers an inquiry: 200 or 400, JSON either way. `None` for a path that is none.
    pub fn inquire(&self, path: &str, body: &[u8]) -> Option<Response> {
        let Kind::OpsRequest(answer) = self.find(path)? else { return None };
        let (status, text) = match answer(body) {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => (StatusCode::BAD_REQUEST, json!({ "error": error }).to_string()),
        };
        Some(fresh((status, [(header::CONTENT_TYPE, "application/json")], text).into_response()))
    }

    /// Answers a GET, `None` for a path that has no answer to one.
    pub fn answer(&self, path: &str) -> Option<Response> {
        let text = |kind: &'static str, text: String| ([(header::CONTENT_TYPE, kind)], text).into_response();
        Some(fresh(match self.find(path)? {
            Kind::Health => text("text/plain", "ok\n".into()),
            Kind::Ready => (self.0.ready)().answer(),
            Kind::Metrics => text("text/plain; version=0.0.4; charset=utf-8", self.0.metrics.render()),
            Kind::Document(write) => text("application/json", write(&(self.0.ready)()).to_string()),
            Kind::Page(page) => page.answer(),
            Kind::OpsRequest(_) => return None,
        }))
    }
}

/// What was true a moment ago is of no use.
fn fresh(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl std::fmt::Debug for Ops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ops")
    }
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Endpoints")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::body::to_bytes;

    use super::*;

    async fn ask(ops: &Ops, path: &str) -> (u16, String) {
        let Some(response) = ops.answer(path) else { return (404, String::new()) };
        let status = response.status();
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store", "{path}");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
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
        let ops = Endpoints::new(Metrics::for_test(), ready)
            .with_document("/api/v1/x", |ready| json!({ "readiness": ready.to_json() }))
            .with_inquiry("/api/v1/ask", |body| {
                if body == b"{}" { Ok("{}".into()) } else { Err("no \"object\"".into()) }
            })
            .build();
        let draining = r#"{"ready":false,"reason":"draining","slaves":2}"#;
        assert_eq!(ask(&ops, "/readyz").await, (503, draining.into()));
        assert_eq!(ask(&ops, "/api/v1/x").await, (200, format!(r#"{{"readiness":{draining}}}"#)));
        up.store(true, Ordering::Relaxed);
        assert_eq!(ask(&ops, "/readyz").await, (200, r#"{"ready":true,"slaves":2}"#.into()));
        assert_eq!(ask(&ops, "/healthz").await, (200, "ok\n".into()));
        assert!(ask(&ops, "/metrics").await.1.contains("process_cpu_seconds_total"));
        assert_eq!(ask(&ops, "/other").await.0, 404);
        assert_eq!(ask(&ops, "/api/v1/ask").await.0, 404, "by POST only");
        assert_eq!(ops.inquire("/api/v1/ask", b"{}").unwrap().status(), 200);
        assert_eq!(ops.inquire("/api/v1/ask", b"").unwrap().status(), 400);
        assert!(ops.inquire("/healthz", b"").is_none());
        let access = ["/healthz", "/readyz", "/metrics", "/api/v1/x", "/api/v1/ask", "/mcp"]
            .map(|path| ops.access(path));
        let key = Some(AuthPolicy::Key);
        assert_eq!(
            access,
            [Some(AuthPolicy::Open), Some(AuthPolicy::Open), key, key, Some(AuthPolicy::OpsRequest), None]
        );
    }
}
