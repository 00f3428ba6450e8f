//! Why a request failed in the hands of the relay, with the details that the message to the client names.
//!
//! Must not know status or codes: those are the kind's.

use crate::mcp::era::{Era, Version};
use crate::mcp::failure::kind::{FailureKind, FailureSpec};

/// Failure of a request. The text of its fields reaches the client and must have no secrets.
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
    /// The call took longer than one of its timeouts.
    #[error("Proxy request timeout")]
    Timeout,
    /// The slave was lost after it may have received the call.
    #[error("Outcome unknown: the slave was lost while it had the call")]
    OutcomeUnknown,
    /// The backend that ran the call died or could not be reached.
    #[error("Backend {backend:?} failed: {reason}")]
    BackendFailed {
        /// Name of the backend in the slave's configuration.
        backend: String,
        /// Cause, without secrets.
        reason: String,
        /// Seconds after which it is worth trying again, where the call did not reach the backend.
        retry_after: Option<u32>,
    },
    /// All that could run the call is at capacity.
    #[error("Busy: {what}")]
    Busy {
        /// Name of what is full.
        what: String,
        /// Seconds after which it is worth trying again, at least 1.
        retry_after: u32,
    },
    /// A rate limit that the operator set is exceeded.
    #[error("Rate limited: {what}")]
    RateLimited {
        /// Name of the limit, without names of other clients.
        what: String,
        /// Seconds after which a call is allowed again, at least 1.
        retry_after: u32,
    },
    /// One client has more under way at once than a client may have.
    #[error("Too much under way for one client: {what}")]
    ClientLimit {
        /// Name of the limit and its variable, without names of other clients.
        what: String,
        /// Seconds after which it is worth trying again, at least 1.
        retry_after: u32,
    },
    /// All clients together have more under way than the process may hold.
    #[error("Overloaded: {what}")]
    Overloaded {
        /// Name of the limit and its variable.
        what: String,
        /// Seconds after which it is worth trying again, at least 1.
        retry_after: u32,
    },
    /// The call cannot be written down, and the operator requires that (`AUDIT_REQUIRED`).
    #[error("The call cannot be written down: {0}")]
    AuditUnavailable(&'static str),
    /// The process that got the request is shutting down.
    #[error("Shutting down")]
    Draining,
    /// Every slave that is linked to the process drains.
    #[error("All slaves are draining{}", if *by_operator { ": an operator drains them at this proxy" } else { "" })]
    SlavesDraining {
        /// Whether an operator drains one of them: it takes no calls until that is undone.
        by_operator: bool,
    },
    /// The client cancelled the request.
    #[error("Request cancelled")]
    Cancelled,
    /// The result exceeds a limit.
    #[error("Result too large: {0}")]
    ResultTooLarge(String),
    /// The slave or its backend sent something that is no valid response.
    #[error("Malformed answer from the slave: {0}")]
    BadAnswer(String),
    /// The tool asks the client for input, which this client cannot be asked for.
    #[error("The tool asks for input ({wanted}), which this client cannot be asked for")]
    InputUnsupported {
        /// Methods of the requests that the client would have to answer, without anything that the backend wrote.
        wanted: String,
    },
    /// The tool answered with a result of a type that is not relayed.
    #[error("The tool answered with {what}, which is not relayed")]
    ResultUnsupported {
        /// Name of what it answered with, without anything that the backend wrote.
        what: &'static str,
    },
    /// The slave that gave out a `requestState` is gone, and no other may take the exchange over.
    #[error("The slave that gave out requestState is gone, and no other can go on with the exchange")]
    StateLost,
    /// A fault of the relay itself.
    #[error("Internal error")]
    Internal,
    /// The body is not JSON.
    #[error("Parse error: {0}")]
    NotJson(String),
    /// The body is not one JSON-RPC 2.0 message.
    #[error("Invalid request: {0}")]
    InvalidRequest(String),
    /// The method does not exist here.
    #[error("Method not found: {0}")]
    MethodNotFound(String),
    /// The parameters have the wrong form, or metadata is missing.
    #[error("Invalid params: {0}")]
    InvalidParams(String),
    /// No slave offers the tool.
    #[error("Unknown tool: {0}")]
    UnknownTool(String),
    /// No slave offers the prompt.
    #[error("Unknown prompt: {0}")]
    UnknownPrompt(String),
    /// No slave offers a resource of this URI.
    #[error("Resource not found: {0}")]
    UnknownResource(String),
    /// No slave has the task, or it is another client's.
    #[error("Task not found: {0}")]
    UnknownTask(String),
    /// The request breaks the rules of HTTP.
    #[error("Bad HTTP request: {0}")]
    BadHttp(&'static str),
    /// The body has a transfer coding that is not decoded here.
    #[error("Unsupported transfer coding: {0}")]
    UnsupportedCoding(String),
    /// The target of the request is too long.
    #[error("Target too long: {0}")]
    TargetTooLong(&'static str),
    /// The head of the request is too large.
    #[error("Head too large: {0}")]
    HeadTooLarge(&'static str),
    /// The body is longer than the operator allows.
    #[error("Request body too large: at most {limit} bytes are allowed (MAX_BODY_BYTES)")]
    BodyTooLarge {
        /// Largest body, in bytes.
        limit: usize,
    },
    /// The body paused too long, or took too long as a whole.
    #[error("Request body too slow: {0}")]
    BodyTimeout(String),
    /// The head of a request did not arrive in time.
    #[error("Request head too slow: it has to arrive within 10 s of its first byte")]
    HeadTimeout,
    /// Credentials are missing or wrong.
    #[error("Unauthorized: {0}")]
    Unauthorized(String),
    /// No keys are set, and the request may come from beyond the private network.
    #[error(
        "Unauthorized: no keys are set here, so only loopback and private addresses are served (AUTH_BEARER_KEYS, ALLOW_ANONYMOUS)"
    )]
    AnonymousRefused,
    /// The key is one for other endpoints.
    #[error("Forbidden: {0}")]
    KeyForbidden(&'static str),
    /// The policy allows the client the tool or prompt, but not with these arguments, or the operator not this endpoint.
    #[error("Forbidden: {0}")]
    Forbidden(String),
    /// The token is valid, and lacks scopes that the request needs.
    #[error("Forbidden: the token lacks scopes, needed are: {}", scopes.join(" "))]
    InsufficientScope {
        /// All scopes that the request needs, those that the token has included.
        scopes: Vec<String>,
    },
    /// Whether the token is valid cannot be found out, since its issuer does not answer.
    #[error("The token cannot be checked at present: {issuer} does not answer")]
    IssuerUnavailable {
        /// Issuer of the token.
        issuer: String,
    },
    /// The origin of the request is not allowed.
    #[error("Forbidden: origin {0:?} is not allowed (ALLOWED_ORIGINS)")]
    OriginForbidden(String),
    /// The host that the request names is not allowed.
    #[error("Forbidden: host {0:?} is not allowed (ALLOWED_HOSTS)")]
    HostForbidden(String),
    /// The session token is unknown, expired or ended.
    #[error("Session not found: initialize again")]
    SessionNotFound,
    /// The path does not allow the HTTP method.
    #[error("Method not allowed: {0}")]
    HttpMethodNotAllowed(String),
    /// The client accepts none of the formats of a response.
    #[error("Not acceptable: {0}")]
    NotAcceptable(String),
    /// The body is not declared as JSON.
    #[error("Unsupported media type: send application/json")]
    UnsupportedMediaType,
    /// The path does not exist.
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
        /// Version that the client asked for.
        requested: String,
    },
}

fn with(wanted: Option<&str>) -> String {
    wanted.map(|wanted| format!(" with {wanted}")).unwrap_or_default()
}

impl Failure {
    /// Returns the kind.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::NoSlave => FailureKind::NoSlave,
            Self::NoSlaveForTool { .. } => FailureKind::NoSlaveForTool,
            Self::Timeout => FailureKind::Timeout,
            Self::OutcomeUnknown => FailureKind::OutcomeUnknown,
            Self::BackendFailed { .. } => FailureKind::BackendFailed,
            Self::Busy { .. } => FailureKind::Busy,
            Self::RateLimited { .. } => FailureKind::RateLimited,
            Self::ClientLimit { .. } => FailureKind::ClientLimit,
            Self::Overloaded { .. } => FailureKind::Overloaded,
            Self::AuditUnavailable(_) => FailureKind::AuditUnavailable,
            Self::Draining | Self::SlavesDraining { .. } => FailureKind::Draining,
            Self::Cancelled => FailureKind::Cancelled,
            Self::ResultTooLarge(_) => FailureKind::ResultTooLarge,
            Self::BadAnswer(_) => FailureKind::BadAnswer,
            Self::InputUnsupported { .. } => FailureKind::InputUnsupported,
            Self::ResultUnsupported { .. } => FailureKind::ResultUnsupported,
            Self::StateLost => FailureKind::StateLost,
            Self::Internal => FailureKind::Internal,
            Self::NotJson(_) => FailureKind::NotJson,
            Self::InvalidRequest(_) => FailureKind::InvalidRequest,
            Self::MethodNotFound(_) => FailureKind::MethodNotFound,
            Self::InvalidParams(_) => FailureKind::InvalidParams,
            Self::UnknownTool(_) => FailureKind::UnknownTool,
            Self::UnknownPrompt(_) => FailureKind::UnknownPrompt,
            Self::UnknownResource(_) => FailureKind::UnknownResource,
            Self::UnknownTask(_) => FailureKind::UnknownTask,
            Self::BadHttp(_) => FailureKind::BadHttp,
            Self::UnsupportedCoding(_) => FailureKind::UnsupportedCoding,
            Self::TargetTooLong(_) => FailureKind::TargetTooLong,
            Self::HeadTooLarge(_) => FailureKind::HeadTooLarge,
            Self::BodyTooLarge { .. } => FailureKind::BodyTooLarge,
            Self::BodyTimeout(_) => FailureKind::BodyTimeout,
            Self::HeadTimeout => FailureKind::HeadTimeout,
            Self::Unauthorized(_) => FailureKind::Unauthorized,
            Self::AnonymousRefused => FailureKind::AnonymousRefused,
            Self::KeyForbidden(_) => FailureKind::KeyForbidden,
            Self::Forbidden(_) => FailureKind::Forbidden,
            Self::InsufficientScope { .. } => FailureKind::InsufficientScope,
            Self::IssuerUnavailable { .. } => FailureKind::IssuerUnavailable,
            Self::OriginForbidden(_) => FailureKind::OriginForbidden,
            Self::HostForbidden(_) => FailureKind::HostForbidden,
            Self::SessionNotFound => FailureKind::SessionNotFound,
            Self::HttpMethodNotAllowed(_) => FailureKind::HttpMethodNotAllowed,
            Self::NotAcceptable(_) => FailureKind::NotAcceptable,
            Self::UnsupportedMediaType => FailureKind::UnsupportedMediaType,
            Self::PathNotFound => FailureKind::PathNotFound,
            Self::HeaderMismatch(_) => FailureKind::HeaderMismatch,
            Self::MissingCapability { .. } => FailureKind::MissingCapability,
            Self::UnsupportedVersion { .. } => FailureKind::UnsupportedVersion,
        }
    }

    /// Returns the row of the failure table.
    pub fn spec(&self) -> FailureSpec {
        self.kind().spec()
    }

    /// Returns the HTTP status for a client of this era.
    pub fn status(&self, era: Era) -> u16 {
        match era {
            Era::Legacy => self.spec().legacy,
            Era::Modern => self.spec().modern,
        }
    }

    /// Returns the seconds after which it is worth trying again, where the failure says so.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::NoSlave
            | Self::NoSlaveForTool { .. }
            | Self::Draining
            | Self::SlavesDraining { .. }
            | Self::AuditUnavailable(_) => Some(1),
            Self::BackendFailed { retry_after, .. } => *retry_after,
            Self::Busy { retry_after, .. }
            | Self::RateLimited { retry_after, .. }
            | Self::ClientLimit { retry_after, .. }
            | Self::Overloaded { retry_after, .. } => Some(*retry_after),
            Self::IssuerUnavailable { .. } => Some(5),
            _ => None,
        }
    }

    /// Returns whether nobody is known that offers what the request names: a slave or backend that comes later may.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::UnknownTool(_) | Self::UnknownPrompt(_) | Self::UnknownResource(_))
    }

    /// Returns the JSON-RPC error object for a client of this era: code, message, and `data` with kind, advice and what the specification requires.
    pub fn error_object(&self, era: Era) -> String {
        let spec = self.spec();
        let mut data = serde_json::json!({ "kind": spec.kind, "advice": spec.advice });
        match self {
            Self::UnsupportedVersion { requested } => {
                data["supported"] = Version::ALL.iter().map(|v| v.as_str()).collect();
                data["requested"] = requested.as_str().into();
            }
            Self::MissingCapability { required } => {
                data["requiredCapabilities"] = serde_json::from_str(required).unwrap_or_default();
            }
            Self::InsufficientScope { scopes } => data["scopes"] = scopes.as_slice().into(),
            _ => {}
        }
        if let Some(seconds) = self.retry_after() {
            data["retryAfter"] = seconds.into();
        }
        serde_json::json!({ "code": spec.code_for(era), "message": self.to_string(), "data": data })
            .to_string()
    }

    /// Returns a failure of each kind, with example fields, in the order of the table: for documentation and tests.
    pub fn examples() -> Vec<Self> {
        let text = String::new;
        vec![
            Self::NoSlave,
            Self::NoSlaveForTool { name: text(), wanted: None },
            Self::Timeout,
            Self::OutcomeUnknown,
            Self::BackendFailed { backend: text(), reason: text(), retry_after: None },
            Self::Busy { what: text(), retry_after: 1 },
            Self::RateLimited { what: text(), retry_after: 1 },
            Self::ClientLimit { what: text(), retry_after: 1 },
            Self::Overloaded { what: text(), retry_after: 1 },
            Self::AuditUnavailable(""),
            Self::Draining,
            Self::Cancelled,
            Self::ResultTooLarge(text()),
            Self::BadAnswer(text()),
            Self::InputUnsupported { wanted: "…".into() },
            Self::ResultUnsupported { what: "…" },
            Self::StateLost,
            Self::Internal,
            Self::NotJson(text()),
            Self::InvalidRequest(text()),
            Self::MethodNotFound(text()),
            Self::InvalidParams(text()),
            Self::UnknownTool(text()),
            Self::UnknownPrompt(text()),
            Self::UnknownResource(text()),
            Self::UnknownTask(text()),
            Self::BadHttp(""),
            Self::UnsupportedCoding(text()),
            Self::TargetTooLong(""),
            Self::HeadTooLarge(""),
            Self::BodyTooLarge { limit: 0 },
            Self::BodyTimeout(text()),
            Self::HeadTimeout,
            Self::Unauthorized(text()),
            Self::AnonymousRefused,
            Self::KeyForbidden(""),
            Self::Forbidden(text()),
            Self::InsufficientScope { scopes: vec!["…".into()] },
            Self::IssuerUnavailable { issuer: "…".into() },
            Self::OriginForbidden(text()),
            Self::HostForbidden(text()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_example_of_every_kind() {
        let kinds: Vec<FailureKind> = Failure::examples().iter().map(Failure::kind).collect();
        assert_eq!(kinds, FailureKind::ALL);
    }

    #[test]
    fn the_specification_s_data_is_there() {
        let object = Failure::UnsupportedVersion { requested: "1900-01-01".into() }.error_object(Era::Modern);
        let value: serde_json::Value = serde_json::from_str(&object).unwrap();
        assert_eq!(value["code"], -32022);
        assert_eq!(value["data"]["requested"], "1900-01-01");
        assert_eq!(value["data"]["supported"][0], "2026-07-28");
    }
}
