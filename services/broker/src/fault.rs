//! Errors of OAuth: their codes, and the answers that carry them, which are counted. Must not know what leads to them.

use bytes::Bytes;
use hyper::{Response, StatusCode};
use serde_json::json;

use crate::metrics::{Endpoint, record_refusal};
use crate::reply;

/// An error of RFC 6749 (4.1.2.1, 5.2), RFC 7591 (3.2.2) or RFC 8707 (2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The code, as the standards have it.
    pub(crate) code: &'static str,
    /// What is wrong, in words that quote nothing of the request.
    pub(crate) words: &'static str,
}

impl Fault {
    pub(crate) const fn new(code: &'static str, words: &'static str) -> Self {
        Self { code, words }
    }

    pub(crate) const fn request(words: &'static str) -> Self {
        Self::new("invalid_request", words)
    }

    pub(crate) const fn grant(words: &'static str) -> Self {
        Self::new("invalid_grant", words)
    }

    pub(crate) const fn client(words: &'static str) -> Self {
        Self::new("invalid_client", words)
    }

    /// The system has no random numbers, or a record is longer than records may be.
    pub(crate) const SERVER: Self = Self::new("server_error", "no record could be made");

    /// The answer of an endpoint that clients ask, which is counted.
    pub(crate) fn answer(self, endpoint: Endpoint) -> Response<Bytes> {
        record_refusal(endpoint, self.code);
        let status = match self.code {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        reply::json(status, &json!({ "error": self.code, "error_description": self.words }))
    }
}
