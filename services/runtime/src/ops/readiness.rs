//! Whether a service takes work, and why not. Must not know what makes it ready.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

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

    /// `{"ready":…,"reason":…,…}`.
    pub fn to_json(&self) -> Value {
        let mut body = Map::new();
        body.insert("ready".into(), self.reason.is_none().into());
        if let Some(reason) = &self.reason {
            body.insert("reason".into(), reason.as_str().into());
        }
        body.extend(self.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        Value::Object(body)
    }

    /// 200 or 503 with that.
    pub(super) fn answer(&self) -> Response {
        let status = if self.reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, [(header::CONTENT_TYPE, "application/json")], self.to_json().to_string()).into_response()
    }
}
