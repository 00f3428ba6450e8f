//! Readiness of a service: whether it takes work, and why not. Must not know what makes it ready.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::printable;

/// Whether a service takes work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    reason: Option<String>,
    numbers: Vec<(&'static str, u64)>,
}

impl Readiness {
    /// Returns that the service takes work.
    pub fn ready() -> Self {
        Self { reason: None, numbers: Vec::new() }
    }

    /// Returns that the service takes no work, for this reason.
    pub fn not_ready(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), numbers: Vec::new() }
    }

    /// Adds a number that operators want to see with it, say `slaves`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: u64) -> Self {
        self.numbers.push((name, value));
        self
    }

    /// Returns `{"ready":…,"reason":…,…}`.
    pub fn to_json(&self) -> Value {
        let mut body = Map::new();
        body.insert("ready".into(), self.reason.is_none().into());
        if let Some(reason) = &self.reason {
            body.insert("reason".into(), reason.as_str().into());
        }
        body.extend(self.numbers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        Value::Object(body)
    }
}

impl IntoResponse for Readiness {
    /// 200 or 503, with [`Self::to_json`].
    fn into_response(self) -> Response {
        let status = if self.reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        // The reason may quote a peer.
        let text = printable::json(&self.to_json().to_string()).into_owned();
        (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
    }
}
