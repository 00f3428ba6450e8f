//! The failure table: every way a call can fail in our hands, with HTTP status, JSON-RPC code, stable kind and advice.
//!
//! One exhaustive place (DESIGN.md §6). docs/OPERATIONS.md "Failures" lists the same rows; a test holds them together.
//! Codes: JSON-RPC's own, the document's -32000 and -32001, the specification's -32020 to -32022, and ours from
//! -31001 down, outside the range that MCP 2026-07-28 ("Error Codes") reserves.

use crate::mcp::era::{Era, Version};

/// Why a request got no result of a backend. The text of a variant's fields reaches the client: never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No slave is connected at all.
    #[error("No slave server connected to proxy")]
    NoSlave,
    /// Slaves are connected, but none that may run this call now.
    #[error("No slave that offers {name:?}{} is ready", with(wanted.as_deref()))]
    NoSlaveForTool {
        /// Tool as the client named it.
        name: String,
        /// The labels that a routing rule wants, and the rule.
        wanted: Option<String>,
    },
    /// The call outlived its time.
    #[error("Proxy request timeout")]
    Timeout,
    /// The slave was lost after the call may have reached it.
    #[error("Outcome unknown: the slave was lost while it had the call")]
    OutcomeUnknown,
    /// The backend that ran the call died or could not be reached.
    #[error("Backend {backend:?} failed: {reason}")]
    BackendFailed {
        /// Its name in the slave's configuration.
        backend: String,
        /// What happened.
        reason: String,
    },
    /// Everything that could run the call is at its capacity.
    #[error("Busy: {what}")]
    Busy {
        /// What is full.
        what: String,
        /// Seconds after which it is worth trying again, at least 1.
        retry_after: u32,
    },
    /// A rate limit of the operator's.
    #[error("Rate limited: {what}")]
    RateLimited {
        /// Which limit, without names of others.
        what: String,
        /// Seconds after which a call is allowed again, at least 1.
        retry_after: u32,
    },
    /// The process that was asked is going down.
    #[error("Shutting down")]
    Draining,
    /// The client cancelled the request.
    #[error("Request cancelled")]
    Cancelled,
    /// The result does not fit the limits.
    #[error("Result too large: {0}")]
    ResultTooLarge(String),
    /// The slave answered with something that is no answer.
    #[error("Malformed answer from the slave: {0}")]
    BadAnswer(String),
    /// Something of ours broke.
    #[error("Internal error")]
    Internal,
    /// The body is not JSON.
    #[error("Parse error: {0}")]
    NotJson(String),
    /// The body is not one JSON-RPC 2.0 message.
    #[error("Invalid request: {0}")]
    InvalidRequest(String),
    /// A method that nobody here has.
    #[error("Method not found: {0}")]
    MethodNotFound(String),
    /// Parameters of the wrong form, an unknown tool, missing metadata.
    #[error("Invalid params: {0}")]
    InvalidParams(String),
    /// A tool that no slave offers.
    #[error("Unknown tool: {0}")]
    UnknownTool(String),
    /// The body is longer than the operator allows.
    #[error("Request body too large: at most {limit} bytes are allowed (MAX_BODY_BYTES)")]
    BodyTooLarge {
        /// Bytes.
        limit: usize,
    },
    /// Credentials missing or wrong.
    #[error("Unauthorized: {0}")]
    Unauthorized(String),
    /// The page that sent the request may not.
    #[error("Forbidden: origin {0:?} is not allowed (ALLOWED_ORIGINS)")]
    OriginForbidden(String),
    /// The session token is unknown, expired or ended.
    #[error("Session not found: initialize again")]
    SessionNotFound,
    /// The HTTP method is not for this path.
    #[error("Method not allowed: {0}")]
    HttpMethodNotAllowed(String),
    /// The client takes none of the forms an answer can have.
    #[error("Not acceptable: {0}")]
    NotAcceptable(String),
    /// The body is not declared as JSON.
    #[error("Unsupported media type: send application/json")]
    UnsupportedMediaType,
    /// No such path.
    #[error("Not found: MCP is served on /mcp")]
    PathNotFound,
    /// Headers and body of a modern request differ.
    #[error("Header mismatch: {0}")]
    HeaderMismatch(String),
    /// The client lacks a capability that the call needs (its JSON object of required capabilities).
    #[error("Missing required client capability")]
    MissingCapability {
        /// JSON for `data.requiredCapabilities`.
        required: String,
    },
    /// A version that the relay does not speak.
    #[error("Unsupported protocol version")]
    UnsupportedVersion {
        /// What the client asked for.
        requested: String,
    },
}

fn with(wanted: Option<&str>) -> String {
    wanted.map(|wanted| format!(" with {wanted}")).unwrap_or_default()
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureSpec {
    /// HTTP status for a legacy client.
    pub legacy: u16,
    /// HTTP status for a modern client.
    pub modern: u16,
    /// JSON-RPC error code.
    pub code: i32,
    /// Stable name: metric label, log field, `error.data.kind`.
    pub kind: &'static str,
    /// What the user should do.
    pub advice: &'static str,
}

const fn row(status: (u16, u16), code: i32, kind: &'static str, advice: &'static str) -> FailureSpec {
    FailureSpec { legacy: status.0, modern: status.1, code, kind, advice }
}

impl Failure {
    /// The row of the table. Exhaustive on purpose: a new failure does not compile without one.
    #[rustfmt::skip]
    pub fn spec(&self) -> FailureSpec {
        match self {
            Self::NoSlave => row((200, 200), -32000, "no_slave", "Start a slave, or check its PROXY_SERVER_URL and SLAVE_CODE."),
            Self::NoSlaveForTool { .. } => row((200, 200), -32000, "no_slave_for_tool", "The tool's slaves are connecting, draining or at fault, or none has the labels that a routing rule wants: retry, and see the proxy's log."),
            Self::Timeout => row((200, 200), -32001, "timeout", "Raise REQUEST_TIMEOUT, or have the tool report progress."),
            Self::OutcomeUnknown => row((200, 200), -31001, "outcome_unknown", "The call may or may not have run: check before you repeat it."),
            Self::BackendFailed { .. } => row((200, 200), -31002, "backend_failed", "See the slave's log for the backend's standard error; it is restarted by itself."),
            Self::Busy { .. } => row((503, 503), -31003, "busy", "Retry after the time in Retry-After, or add slaves."),
            Self::RateLimited { .. } => row((429, 429), -31008, "rate_limited", "Retry after the time in Retry-After, or ask the operator for a higher rate limit."),
            Self::Draining => row((503, 503), -31004, "draining", "Retry: another replica takes the request."),
            Self::Cancelled => row((200, 200), -31005, "cancelled", "Nothing: the client asked for it."),
            Self::ResultTooLarge(_) => row((200, 200), -31006, "result_too_large", "Ask the tool for less, or raise the limit that the message names."),
            Self::BadAnswer(_) => row((200, 200), -31007, "bad_answer", "The slave or its backend breaks the protocol: see both logs."),
            Self::Internal => row((500, 500), -32603, "internal", "A bug of ours: please report it with the proxy's log."),
            Self::NotJson(_) => row((400, 400), -32700, "parse_error", "Send one JSON-RPC message in UTF-8."),
            Self::InvalidRequest(_) => row((400, 400), -32600, "invalid_request", "Send one JSON-RPC 2.0 message."),
            Self::MethodNotFound(_) => row((200, 404), -32601, "method_not_found", "Use a method that the server's capabilities announce."),
            Self::InvalidParams(_) => row((200, 400), -32602, "invalid_params", "Correct the parameters."),
            Self::UnknownTool(_) => row((200, 200), -32602, "unknown_tool", "Call tools/list again: the tool may have gone with its slave."),
            Self::BodyTooLarge { .. } => row((413, 413), -32600, "body_too_large", "Send less, or raise MAX_BODY_BYTES."),
            Self::Unauthorized(_) => row((401, 401), -32001, "unauthorized", "Send a key from AUTH_BEARER_KEYS."),
            Self::OriginForbidden(_) => row((403, 403), -32600, "origin_forbidden", "Add the origin to ALLOWED_ORIGINS if you trust it."),
            Self::SessionNotFound => row((404, 404), -32001, "session_not_found", "Initialize again (clients do so by themselves)."),
            Self::HttpMethodNotAllowed(_) => row((405, 405), -32600, "http_method_not_allowed", "POST JSON-RPC messages to /mcp."),
            Self::NotAcceptable(_) => row((406, 406), -32600, "not_acceptable", "Accept application/json and text/event-stream."),
            Self::UnsupportedMediaType => row((415, 415), -32600, "unsupported_media_type", "Send Content-Type: application/json."),
            Self::PathNotFound => row((404, 404), -32600, "path_not_found", "POST JSON-RPC messages to /mcp."),
            Self::HeaderMismatch(_) => row((400, 400), -32020, "header_mismatch", "Send the Mcp-* headers that match the body."),
            Self::MissingCapability { .. } => row((400, 400), -32021, "missing_capability", "Use a client with the named capabilities."),
            Self::UnsupportedVersion { .. } => row((400, 400), -32022, "unsupported_version", "Use one of the versions in data.supported."),
        }
    }

    /// HTTP status for a client of this era.
    pub fn status(&self, era: Era) -> u16 {
        match era {
            Era::Legacy => self.spec().legacy,
            Era::Modern => self.spec().modern,
        }
    }

    /// The JSON-RPC error object: code, message, and `data` with kind, advice and what the specification asks for.
    pub fn error_object(&self) -> String {
        let row = self.spec();
        let mut data = serde_json::json!({ "kind": row.kind, "advice": row.advice });
        match self {
            Self::UnsupportedVersion { requested } => {
                data["supported"] = Version::ALL.iter().map(|v| v.as_str()).collect();
                data["requested"] = requested.as_str().into();
            }
            Self::RateLimited { retry_after, .. } | Self::Busy { retry_after, .. } => {
                data["retryAfter"] = (*retry_after).into();
            }
            Self::MissingCapability { required } => {
                data["requiredCapabilities"] = serde_json::from_str(required).unwrap_or_default();
            }
            _ => {}
        }
        serde_json::json!({ "code": row.code, "message": self.to_string(), "data": data }).to_string()
    }

    /// One of each, with example fields, in the order of the table: for documentation and tests.
    pub fn examples() -> Vec<Self> {
        let text = String::new;
        vec![
            Self::NoSlave,
            Self::NoSlaveForTool { name: text(), wanted: None },
            Self::Timeout,
            Self::OutcomeUnknown,
            Self::BackendFailed { backend: text(), reason: text() },
            Self::Busy { what: text(), retry_after: 1 },
            Self::RateLimited { what: text(), retry_after: 1 },
            Self::Draining,
            Self::Cancelled,
            Self::ResultTooLarge(text()),
            Self::BadAnswer(text()),
            Self::Internal,
            Self::NotJson(text()),
            Self::InvalidRequest(text()),
            Self::MethodNotFound(text()),
            Self::InvalidParams(text()),
            Self::UnknownTool(text()),
            Self::BodyTooLarge { limit: 0 },
            Self::Unauthorized(text()),
            Self::OriginForbidden(text()),
            Self::SessionNotFound,
            Self::HttpMethodNotAllowed(text()),
            Self::NotAcceptable(text()),
            Self::UnsupportedMediaType,
            Self::PathNotFound,
            Self::HeaderMismatch(text()),
            Self::MissingCapability { required: "{}".into() },
            Self::UnsupportedVersion { requested: text() },
        ]
    }
}

/// The JSON-RPC code of an error object, whoever wrote it.
pub fn code_in(error_object: &[u8]) -> Option<i64> {
    #[derive(serde::Deserialize)]
    struct Error {
        code: i64,
    }
    serde_json::from_slice(error_object).ok().map(|Error { code }| code)
}

/// The kind of an error object that [`Failure::error_object`] wrote, on whichever side; `None` for any other error.
pub fn kind_in(error_object: &[u8]) -> Option<&'static str> {
    #[derive(serde::Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        kind: std::borrow::Cow<'a, str>,
    }
    #[derive(serde::Deserialize)]
    struct Error<'a> {
        code: i64,
        #[serde(borrow)]
        data: Data<'a>,
    }
    let Error { code, data } = serde_json::from_slice(error_object).ok()?;
    let rows = Failure::examples().into_iter().map(|failure| failure.spec());
    rows.into_iter().find(|row| row.kind == data.kind && i64::from(row.code) == code).map(|row| row.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_distinct_and_codes_are_allowed() {
        let mut kinds = std::collections::HashSet::new();
        for failure in Failure::examples() {
            let row = failure.spec();
            assert!(kinds.insert(row.kind), "{} twice", row.kind);
            // MCP 2026-07-28, "Error Codes": no code of our own in the reserved range, but for the document's two.
            let own = !(-32768..=-32000).contains(&row.code);
            let known = [-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022, -32000, -32001];
            assert!(own || known.contains(&row.code), "{}", row.code);
        }
    }

    #[test]
    fn the_kind_of_our_own_errors_is_found_again_and_of_no_others() {
        for failure in Failure::examples() {
            assert_eq!(kind_in(failure.error_object().as_bytes()), Some(failure.spec().kind));
        }
        for other in ["", "[]", r#"{"code":-32000,"message":"x"}"#, r#"{"code":1,"data":{"kind":"timeout"}}"#]
        {
            assert_eq!(kind_in(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn the_specification_s_data_is_there() {
        let object = Failure::UnsupportedVersion { requested: "1900-01-01".into() }.error_object();
        let value: serde_json::Value = serde_json::from_str(&object).unwrap();
        assert_eq!(value["code"], -32022);
        assert_eq!(value["data"]["requested"], "1900-01-01");
        assert_eq!(value["data"]["supported"][0], "2026-07-28");
    }
}
