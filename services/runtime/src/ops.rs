//! The operators' endpoints: `/healthz`, `/readyz`, `/metrics`, and what a service adds to them.
//!
//! Must not know what makes a service ready, what its documents say, or how [`AuthPolicy`] is enforced.

mod catalog;
mod operator;
mod policy;
mod readiness;
pub mod ui;

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use serde_json::{Value, json};

pub use catalog::{CatalogDocument, CatalogItem};
pub use operator::Operator;
pub use policy::AuthPolicy;
pub use readiness::Readiness;
pub use ui::{CONTENT_POLICY, Page};

use crate::metrics::Metrics;
use crate::printable;

/// Path of the MCP endpoint of operators. The server that serves [`Ops`] answers it.
pub const OPERATOR_CALLS: &str = "/ui/mcp";

/// The function that says whether the service is ready.
type Ready = Arc<dyn Fn() -> Readiness + Send + Sync>;

/// The endpoints of one service. Clones share them.
#[derive(Clone)]
pub struct Ops {
    router: Router,
    policies: Arc<[(&'static str, AuthPolicy)]>,
}

/// Builder of [`Ops`].
pub struct Endpoints {
    ready: Ready,
    router: Router,
    policies: Vec<(&'static str, AuthPolicy)>,
}

impl Endpoints {
    /// The endpoints `/healthz`, `/readyz` and `/metrics`. `ready` is called for every `/readyz`; it must not block.
    pub fn new(metrics: Metrics, ready: impl Fn() -> Readiness + Send + Sync + 'static) -> Self {
        let render = move || {
            let text = metrics.render();
            async move { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text) }
        };
        let mut endpoints = Self::without_metrics(ready);
        endpoints.router = endpoints.router.route("/metrics", get(render));
        endpoints.policies.push(("/metrics", AuthPolicy::Key));
        endpoints
    }

    /// The same endpoints without `/metrics`.
    pub fn without_metrics(ready: impl Fn() -> Readiness + Send + Sync + 'static) -> Self {
        let ready: Ready = Arc::new(ready);
        let answer_ready = Arc::clone(&ready);
        // Health checks of some load balancers use methods other than GET.
        let router = Router::new()
            .route("/healthz", any(async || ([(header::CONTENT_TYPE, "text/plain")], "ok\n")))
            .route("/readyz", any(async move || answer_ready()));
        let policies = vec![("/healthz", AuthPolicy::Open), ("/readyz", AuthPolicy::Open)];
        Self { ready, router, policies }
    }

    /// Adds an endpoint that answers a POST of JSON: 200 with the returned JSON, or 400 with the returned reason. `answer`
    /// must not block.
    #[must_use]
    pub fn with_request(
        mut self,
        path: &'static str,
        answer: impl Fn(&[u8]) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        let answer = Arc::new(answer);
        let handle = async move |body: Bytes| outcome_response(answer(&body));
        self.router = self.router.route(path, post(handle));
        self.policies.push((path, AuthPolicy::Key));
        self
    }

    /// Adds an endpoint that executes a POST of JSON: 200 with the returned JSON, or 400 with the returned reason. The server puts the
    /// [`Operator`] into the request's extensions. `execute` must not block.
    #[must_use]
    pub fn with_command(
        mut self,
        path: &'static str,
        execute: impl Fn(&Operator, &[u8]) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        let execute = Arc::new(execute);
        let handle = async move |Extension(operator): Extension<Operator>, body: Bytes| {
            outcome_response(execute(&operator, &body))
        };
        self.router = self.router.route(path, post(handle));
        self.policies.push((path, AuthPolicy::Operate));
        self
    }

    /// Adds [`OPERATOR_CALLS`].
    #[must_use]
    pub fn with_operator_calls(mut self) -> Self {
        self.policies.push((OPERATOR_CALLS, AuthPolicy::Operate));
        self
    }

    /// Adds an endpoint that answers a GET with JSON: with a value, or with text that is JSON. `write` must not block.
    #[must_use]
    pub fn with_document<T: Display>(
        mut self,
        path: &'static str,
        write: impl Fn(&Readiness) -> T + Send + Sync + 'static,
    ) -> Self {
        let (ready, write) = (Arc::clone(&self.ready), Arc::new(write));
        let handle = async move || json_response(StatusCode::OK, write(&ready()).to_string());
        self.router = self.router.route(path, get(handle));
        self.policies.push((path, AuthPolicy::Key));
        self
    }

    /// Adds an endpoint that answers a GET of anybody with JSON. `write` must not block.
    #[must_use]
    pub fn with_open_document(
        mut self,
        path: &'static str,
        write: impl Fn() -> Value + Send + Sync + 'static,
    ) -> Self {
        let write = Arc::new(write);
        let handle = async move || json_response(StatusCode::OK, write().to_string());
        self.router = self.router.route(path, get(handle));
        self.policies.push((path, AuthPolicy::Open));
        self
    }

    /// Adds static pages.
    #[must_use]
    pub fn with_pages(mut self, pages: impl IntoIterator<Item = Page>) -> Self {
        for page in pages {
            let path = page.path;
            self.router = self.router.route(path, get(async move || page));
            self.policies.push((path, AuthPolicy::Page));
        }
        self
    }

    /// Returns the endpoints.
    pub fn build(self) -> Ops {
        Ops { router: self.router, policies: self.policies.into() }
    }
}

impl Ops {
    /// Returns who may use the endpoint at `path`; `None` if there is none.
    pub fn policy(&self, path: &str) -> Option<AuthPolicy> {
        self.policies.iter().find(|(known, _)| *known == path).map(|(_, policy)| *policy)
    }

    /// Returns the endpoints as a router. It neither checks [`Self::policy`] nor limits requests.
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}

fn outcome_response(outcome: Result<String, String>) -> Response {
    match outcome {
        Ok(text) => json_response(StatusCode::OK, text),
        Err(error) => json_response(StatusCode::BAD_REQUEST, json!({ "error": error }).to_string()),
    }
}

/// Returns JSON without the characters of peers that command a terminal or hide: operators read it there, too.
fn json_response(status: StatusCode, text: String) -> Response {
    let text = match printable::json(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(escaped) => escaped,
    };
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
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

    use axum::body::{Body, to_bytes};
    use axum::http::{Method, Request};
    use tower::Service;

    use super::*;
    use crate::config::StatusPage;

    const COLUMNS: ui::CallColumns = ui::CallColumns {
        worker: "x",
        worker_key: "xId",
        worker_title: "X",
        client_title: "Client",
        has_trace: false,
    };

    async fn ask(ops: &Ops, method: Method, path: &str, body: &'static str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
        let response = ops.router().call(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(ops: &Ops, path: &str) -> (u16, String) {
        ask(ops, Method::GET, path, "").await
    }

    fn ops(is_up: &Arc<AtomicBool>) -> Ops {
        let is_up = Arc::clone(is_up);
        let ready = move || {
            let state = if is_up.load(Ordering::Relaxed) {
                Readiness::ready()
            } else {
                Readiness::not_ready("draining")
            };
            state.with("slaves", 2)
        };
        Endpoints::new(Metrics::for_test(), ready)
            .with_document("/api/v1/x", |ready| json!({ "readiness": ready.to_json() }))
            .with_request("/api/v1/ask", |body| {
                if body == b"{}" { Ok("{}".into()) } else { Err("no \"object\"".into()) }
            })
            .with_pages(ui::pages("test", "<p>tables</p>", COLUMNS, StatusPage::ReadOnly))
            .build()
    }

    #[tokio::test]
    async fn readiness_follows_the_service_and_has_its_reason() {
        let is_up = Arc::new(AtomicBool::new(false));
        let ops = ops(&is_up);
        let draining = r#"{"ready":false,"reason":"draining","slaves":2}"#;
        assert_eq!(get(&ops, "/readyz").await, (503, draining.into()));
        assert_eq!(get(&ops, "/api/v1/x").await, (200, format!(r#"{{"readiness":{draining}}}"#)));
        is_up.store(true, Ordering::Relaxed);
        assert_eq!(get(&ops, "/readyz").await, (200, r#"{"ready":true,"slaves":2}"#.into()));
    }

    #[tokio::test]
    async fn endpoints_answer_their_methods_only() {
        let ops = ops(&Arc::new(AtomicBool::new(true)));
        assert_eq!(get(&ops, "/healthz").await, (200, "ok\n".into()));
        assert_eq!(ask(&ops, Method::PUT, "/healthz", "").await.0, 200);
        assert!(get(&ops, "/metrics").await.1.contains("process_cpu_seconds_total"));
        assert_eq!(get(&ops, "/other").await.0, 404);
        assert_eq!(get(&ops, "/api/v1/ask").await.0, 405);
        assert_eq!(ask(&ops, Method::POST, "/api/v1/x", "").await.0, 405);
        assert_eq!(ask(&ops, Method::POST, "/api/v1/ask", "{}").await, (200, "{}".into()));
        let refused = ask(&ops, Method::POST, "/api/v1/ask", "").await;
        assert_eq!(refused, (400, r#"{"error":"no \"object\""}"#.into()));
        for path in ["/", "/ui"] {
            assert_eq!(get(&ops, path).await.0, 307, "{path}");
        }
        for script in ["/ui/page.js", "/ui/tables.js", "/ui/values.js"] {
            assert_eq!(get(&ops, script).await.0, 200, "{script}");
        }
        assert!(get(&ops, "/ui/").await.1.contains("<p>tables</p>"));
    }

    #[test]
    fn every_endpoint_has_a_policy() {
        let ops = ops(&Arc::new(AtomicBool::new(true)));
        for (path, policy) in [
            ("/healthz", Some(AuthPolicy::Open)),
            ("/readyz", Some(AuthPolicy::Open)),
            ("/metrics", Some(AuthPolicy::Key)),
            ("/api/v1/x", Some(AuthPolicy::Key)),
            ("/api/v1/ask", Some(AuthPolicy::Key)),
            ("/ui/page.js", Some(AuthPolicy::Page)),
            ("/mcp", None),
        ] {
            assert_eq!(ops.policy(path), policy, "{path}");
        }
    }
}
