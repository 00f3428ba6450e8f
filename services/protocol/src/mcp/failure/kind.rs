//! The failure table: HTTP status, JSON-RPC code, stable name and advice of every kind of failure.
//!
//! docs/reference/failures.md, lists the same rows; `tests/failures_document.rs` compares them. Codes are JSON-RPC's own,
//! -32000 and -32001 of the existing Node server, -32020 to -32022 of MCP, and the relay's own from -31001 down, outside of
//! the range that MCP 2026-07-28 ("Error Codes") reserves. Must not know the details of a single failure.

use std::fmt;

use crate::mcp::era::Era;

/// Kind of a failure. Its name ([`FailureKind::as_str`]) is stable: metric label, log field and `error.data.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No slave is connected at all.
    NoSlave,
    /// Slaves are connected, but none that may run this call now.
    NoSlaveForTool,
    /// The call took longer than one of its timeouts.
    Timeout,
    /// The slave was lost after it may have received the call.
    OutcomeUnknown,
    /// The backend that ran the call died or could not be reached.
    BackendFailed,
    /// All that could run the call is at capacity.
    Busy,
    /// A rate limit that the operator set is exceeded.
    RateLimited,
    /// One client has more under way at once than a client may have.
    ClientLimit,
    /// All clients together have more under way than the process may hold.
    Overloaded,
    /// The call cannot be written down, and the operator requires that (`AUDIT_REQUIRED`).
    AuditUnavailable,
    /// The process that got the request is shutting down, or every slave that is linked to it.
    Draining,
    /// The client cancelled the request.
    Cancelled,
    /// The result exceeds a limit.
    ResultTooLarge,
    /// The slave or its backend sent something that is no valid response.
    BadAnswer,
    /// The tool asks the client for input, which this client cannot be asked for.
    InputUnsupported,
    /// The tool answered with a result of a type that is not relayed.
    ResultUnsupported,
    /// The slave that gave out a `requestState` is gone, and no other may take the exchange over.
    StateLost,
    /// A fault of the relay itself.
    Internal,
    /// The body is not JSON.
    NotJson,
    /// The body is not one JSON-RPC 2.0 message.
    InvalidRequest,
    /// The method does not exist here.
    MethodNotFound,
    /// The parameters have the wrong form, or metadata is missing.
    InvalidParams,
    /// No slave offers the tool.
    UnknownTool,
    /// No such prompt.
    UnknownPrompt,
    /// No such resource.
    UnknownResource,
    /// No such task, or another client's.
    UnknownTask,
    /// The request breaks the rules of HTTP.
    BadHttp,
    /// The body has a transfer coding that is not decoded here.
    UnsupportedCoding,
    /// The target of the request is too long.
    TargetTooLong,
    /// The head of the request is too large.
    HeadTooLarge,
    /// The body is longer than the operator allows.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The head of a request did not arrive in time.
    HeadTimeout,
    /// Credentials are missing or wrong.
    Unauthorized,
    /// No keys are set, and the request may come from beyond the private network.
    AnonymousRefused,
    /// The key is one for other endpoints.
    KeyForbidden,
    /// The policy allows the client the tool or prompt, but not with these arguments, or the operator not this endpoint.
    Forbidden,
    /// The token is valid, and lacks scopes that the request needs.
    InsufficientScope,
    /// Whether the token is valid cannot be found out, since its issuer does not answer.
    IssuerUnavailable,
    /// The origin of the request is not allowed.
    OriginForbidden,
    /// The host that the request names is not allowed.
    HostForbidden,
    /// The session token is unknown, expired or ended.
    SessionNotFound,
    /// The path does not allow the HTTP method.
    HttpMethodNotAllowed,
    /// The client accepts none of the formats of a response.
    NotAcceptable,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The path does not exist.
    PathNotFound,
    /// Headers and body of a modern request differ.
    HeaderMismatch,
    /// The client lacks a capability that the call needs (its JSON object of required capabilities).
    MissingCapability,
    /// A version that the relay does not speak.
    UnsupportedVersion,
}

/// Row of the failure table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureSpec {
    /// HTTP status for a legacy client.
    pub legacy: u16,
    /// HTTP status for a modern client.
    pub modern: u16,
    /// JSON-RPC error code for a legacy client.
    pub code: i32,
    /// JSON-RPC error code for a modern client, outside of -32000 to -32019 (2026-07-28, "Error Codes").
    pub modern_code: i32,
    /// Stable name of the kind.
    pub kind: &'static str,
    /// Advice for the user.
    pub advice: &'static str,
}

const fn row(legacy: u16, modern: u16, code: i32, kind: &'static str, advice: &'static str) -> FailureSpec {
    FailureSpec { legacy, modern, code, modern_code: code, kind, advice }
}

impl FailureSpec {
    /// Returns the row with another code for legacy clients.
    const fn legacy_code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// Returns the JSON-RPC error code for a client of this era.
    pub const fn code_for(&self, era: Era) -> i32 {
        match era {
            Era::Legacy => self.code,
            Era::Modern => self.modern_code,
        }
    }
}

impl FailureKind {
    /// Every kind, in the order of the table.
    pub const ALL: [Self; 49] = [
        Self::NoSlave,
        Self::NoSlaveForTool,
        Self::Timeout,
        Self::OutcomeUnknown,
        Self::BackendFailed,
        Self::Busy,
        Self::RateLimited,
        Self::ClientLimit,
        Self::Overloaded,
        Self::AuditUnavailable,
        Self::Draining,
        Self::Cancelled,
        Self::ResultTooLarge,
        Self::BadAnswer,
        Self::InputUnsupported,
        Self::ResultUnsupported,
        Self::StateLost,
        Self::Internal,
        Self::NotJson,
        Self::InvalidRequest,
        Self::MethodNotFound,
        Self::InvalidParams,
        Self::UnknownTool,
        Self::UnknownPrompt,
        Self::UnknownResource,
        Self::UnknownTask,
        Self::BadHttp,
        Self::UnsupportedCoding,
        Self::TargetTooLong,
        Self::HeadTooLarge,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::HeadTimeout,
        Self::Unauthorized,
        Self::AnonymousRefused,
        Self::KeyForbidden,
        Self::Forbidden,
        Self::InsufficientScope,
        Self::IssuerUnavailable,
        Self::OriginForbidden,
        Self::HostForbidden,
        Self::SessionNotFound,
        Self::HttpMethodNotAllowed,
        Self::NotAcceptable,
        Self::UnsupportedMediaType,
        Self::PathNotFound,
        Self::HeaderMismatch,
        Self::MissingCapability,
        Self::UnsupportedVersion,
    ];

    /// Returns the row of the table. Exhaustive on purpose: a new kind does not compile without a row.
    #[rustfmt::skip]
    pub const fn spec(self) -> FailureSpec {
        match self {
            Self::NoSlave => row(200, 200, -31000, "no_slave", "Start a slave, or check its PROXY_SERVER_URL and SLAVE_CODE.").legacy_code(-32000),
            Self::NoSlaveForTool => row(200, 200, -31012, "no_slave_for_tool", "The tool's slaves are connecting, draining or failing, or none has the labels that a routing rule requires: retry, and see the proxy's log.").legacy_code(-32000),
            Self::Timeout => row(200, 200, -31013, "timeout", "Raise REQUEST_TIMEOUT, or let the tool report progress.").legacy_code(-32001),
            Self::OutcomeUnknown => row(200, 200, -31001, "outcome_unknown", "The call may or may not have run: check before you repeat it."),
            Self::BackendFailed => row(200, 200, -31002, "backend_failed", "See the slave's log for the backend's standard error; it is restarted automatically."),
            Self::Busy => row(503, 503, -31003, "busy", "Retry after the time in Retry-After, or add slaves."),
            Self::RateLimited => row(429, 429, -31008, "rate_limited", "Retry after the time in Retry-After, or ask the operator for a higher rate limit."),
            Self::ClientLimit => row(429, 429, -31009, "client_limit", "Let requests finish before you send more, or ask the operator to raise the variable that the message names."),
            Self::Overloaded => row(503, 503, -31010, "overloaded", "Retry after the time in Retry-After; the operator may raise the variable that the message names."),
            Self::AuditUnavailable => row(503, 503, -31011, "audit_unavailable", "Nothing ran: the operator has to make room for AUDIT_LOG, then retry."),
            Self::Draining => row(503, 503, -31004, "draining", "Retry after the time in Retry-After: another replica or slave will take the request."),
            Self::Cancelled => row(200, 200, -31005, "cancelled", "Nothing: the client asked for it."),
            Self::ResultTooLarge => row(200, 200, -31006, "result_too_large", "Ask the tool for less, or raise the limit that the message names."),
            Self::BadAnswer => row(200, 200, -31007, "bad_answer", "The slave or its backend breaks the protocol: see both logs."),
            Self::InputUnsupported => row(200, 200, -31020, "input_unsupported", "Give the tool what it asks for in its arguments, or use a client that declares the capability for it."),
            Self::ResultUnsupported => row(200, 200, -31021, "result_unsupported", "Use a tool that answers with its result: tasks and results of other types are not relayed."),
            Self::StateLost => row(200, 200, -31022, "state_lost", "Start over: call the tool without requestState and inputResponses."),
            Self::Internal => row(500, 500, -32603, "internal", "This is a bug in mcp-relay: please report it with the proxy's log."),
            Self::NotJson => row(400, 400, -32700, "parse_error", "Send one JSON-RPC message in UTF-8."),
            Self::InvalidRequest => row(400, 400, -32600, "invalid_request", "Send one JSON-RPC 2.0 message."),
            Self::MethodNotFound => row(200, 404, -32601, "method_not_found", "Use a method that the server's capabilities announce."),
            Self::InvalidParams => row(200, 400, -32602, "invalid_params", "Correct the parameters."),
            Self::UnknownTool => row(200, 200, -32602, "unknown_tool", "Call tools/list again: the tool may have gone with its slave."),
            Self::UnknownPrompt => row(200, 200, -32602, "unknown_prompt", "Call prompts/list again: the prompt may have gone with its slave."),
            Self::UnknownResource => row(200, 200, -32602, "unknown_resource", "Call resources/list again: the resource may have gone with its slave.").legacy_code(-32002),
            Self::UnknownTask => row(200, 200, -32602, "unknown_task", "Start over: the task is over, or belongs to another client."),
            Self::BadHttp => row(400, 400, -32600, "bad_http", "Send HTTP/1.1 according to RFC 9112; to a port without TLS, send without TLS."),
            Self::UnsupportedCoding => row(501, 501, -32600, "unsupported_coding", "Send the body unencoded, or chunked."),
            Self::TargetTooLong => row(414, 414, -32600, "target_too_long", "POST JSON-RPC messages to /mcp."),
            Self::HeadTooLarge => row(431, 431, -32600, "head_too_large", "Send fewer or shorter headers: cookies are not needed here."),
            Self::BodyTooLarge => row(413, 413, -32600, "body_too_large", "Send less, or raise MAX_BODY_BYTES."),
            Self::HeadTimeout => row(408, 408, -32600, "head_timeout", "Send the head of a request at once."),
            Self::BodyTimeout => row(408, 408, -32600, "body_timeout", "Send the body without long pauses."),
            Self::Unauthorized => row(401, 401, -31014, "unauthorized", "Send a key from AUTH_BEARER_KEYS, or a token from an issuer of AUTH_ISSUERS; operators send a key from OPS_KEYS where it is set.").legacy_code(-32001),
            Self::AnonymousRefused => row(401, 401, -31015, "anonymous_refused", "Set AUTH_BEARER_KEYS at the server and send one of the keys, or set ALLOW_ANONYMOUS=1 there.").legacy_code(-32001),
            Self::KeyForbidden => row(403, 403, -32600, "key_forbidden", "Send a key of AUTH_BEARER_KEYS for tools, one of OPS_KEYS for operators' endpoints."),
            Self::Forbidden => row(403, 403, -31018, "forbidden", "Use other arguments, or ask the operator: the policy does not allow these."),
            Self::InsufficientScope => row(403, 403, -31024, "insufficient_scope", "Get a token with the scopes in data.scopes (clients that follow WWW-Authenticate do so automatically).").legacy_code(-32001),
            Self::IssuerUnavailable => row(503, 503, -31025, "issuer_unavailable", "Retry after the time in Retry-After; the operator must make sure that the proxy reaches the issuer of AUTH_ISSUERS."),
            Self::OriginForbidden => row(403, 403, -32600, "origin_forbidden", "Add the origin to ALLOWED_ORIGINS if you trust it."),
            Self::HostForbidden => row(403, 403, -32600, "host_forbidden", "Add the host to ALLOWED_HOSTS if it is this server's, or set PUBLIC_URL."),
            Self::SessionNotFound => row(404, 404, -31016, "session_not_found", "Initialize again (clients do so automatically).").legacy_code(-32001),
            Self::HttpMethodNotAllowed => row(405, 405, -32600, "http_method_not_allowed", "POST JSON-RPC messages to /mcp."),
            Self::NotAcceptable => row(406, 406, -32600, "not_acceptable", "Accept application/json and text/event-stream."),
            Self::UnsupportedMediaType => row(415, 415, -32600, "unsupported_media_type", "Send Content-Type: application/json."),
            Self::PathNotFound => row(404, 404, -32600, "path_not_found", "POST JSON-RPC messages to /mcp."),
            Self::HeaderMismatch => row(400, 400, -32020, "header_mismatch", "Send the Mcp-* headers that match the body."),
            Self::MissingCapability => row(400, 400, -32021, "missing_capability", "Use a client with the named capabilities."),
            Self::UnsupportedVersion => row(400, 400, -32022, "unsupported_version", "Use one of the versions in data.supported."),
        }
    }

    /// Returns the stable name.
    pub const fn as_str(self) -> &'static str {
        self.spec().kind
    }

    /// Whether the relay, its slaves or their backends are at fault, or too small: what an operator should know of. The other
    /// kinds are faults or wishes of the client.
    pub const fn is_fault(self) -> bool {
        match self {
            Self::NoSlave
            | Self::NoSlaveForTool
            | Self::Timeout
            | Self::OutcomeUnknown
            | Self::BackendFailed
            | Self::Busy
            | Self::Overloaded
            | Self::AuditUnavailable
            | Self::Draining
            | Self::IssuerUnavailable
            | Self::ResultTooLarge
            | Self::BadAnswer
            | Self::ResultUnsupported
            | Self::StateLost
            | Self::Internal => true,
            Self::RateLimited
            | Self::ClientLimit
            | Self::Cancelled
            | Self::NotJson
            | Self::InvalidRequest
            | Self::MethodNotFound
            | Self::InvalidParams
            | Self::UnknownTool
            | Self::UnknownPrompt
            | Self::UnknownResource
            | Self::UnknownTask
            | Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::HeadTimeout
            | Self::Unauthorized
            | Self::AnonymousRefused
            | Self::KeyForbidden
            | Self::Forbidden
            | Self::InsufficientScope
            | Self::OriginForbidden
            | Self::HostForbidden
            | Self::SessionNotFound
            | Self::HttpMethodNotAllowed
            | Self::NotAcceptable
            | Self::UnsupportedMediaType
            | Self::PathNotFound
            | Self::HeaderMismatch
            | Self::MissingCapability
            | Self::InputUnsupported
            | Self::BadHttp
            | Self::UnsupportedCoding
            | Self::TargetTooLong
            | Self::HeadTooLarge
            | Self::UnsupportedVersion => false,
        }
    }

    /// Reads a stable name; `None` for any other text.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_codes_are_allowed() {
        let mut names = std::collections::HashSet::new();
        for kind in FailureKind::ALL {
            let spec = kind.spec();
            assert!(names.insert(spec.kind), "{kind} twice");
            assert_eq!(FailureKind::parse(spec.kind), Some(kind));
            // MCP 2026-07-28, "Error Codes": no code of our own in the reserved range, but for -32000 and -32001.
            let own = |code: i32| !(-32768..=-32000).contains(&code);
            let known = [-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022];
            assert!(own(spec.modern_code) || known.contains(&spec.modern_code), "{}", spec.modern_code);
            let legacy = [-32000, -32001, -32002];
            assert!(spec.code == spec.modern_code || legacy.contains(&spec.code), "{}", spec.code);
        }
        assert_eq!(FailureKind::parse("none"), None);
    }
}
