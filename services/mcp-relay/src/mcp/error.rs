//! Errors of MCP requests, and which of them certainly ran nothing. Knows no request.

use protocol::mcp::failure::FailureKind;
use runtime::printable;
use serde_json::Value;

/// The reason why a request has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum McpError {
    /// No connection: nothing was sent.
    #[error("{0:#}")]
    NoConnection(anyhow::Error),
    /// The server answered with an error.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The connection broke, or the answer is not MCP.
    #[error("{0:#}")]
    Broken(anyhow::Error),
}

impl McpError {
    /// The error for an answer that is not MCP.
    pub(crate) fn broken(what: impl Into<String>) -> Self {
        Self::Broken(anyhow::Error::msg(what.into()))
    }

    /// Whether another attempt may succeed and cannot run anything twice.
    pub(crate) fn can_be_retried(&self) -> bool {
        match self {
            Self::NoConnection(_) => true,
            Self::Refused(refused) => refused.can_be_retried(),
            Self::Broken(_) => false,
        }
    }
}

/// An error answer of a server.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({}){}", self.facts(), self.advice.as_deref().map(|text| format!(". {text}")).unwrap_or_default())]
pub(crate) struct Refused {
    /// HTTP status.
    pub(crate) status: u16,
    /// JSON-RPC error code, where the answer is JSON-RPC.
    pub(crate) code: Option<i64>,
    message: String,
    /// Stable name of the failure, from an mcp-relay.
    pub(crate) kind: Option<String>,
    advice: Option<String>,
}

/// Kinds of temporary failures after which nothing has run.
const TEMPORARY: [FailureKind; 6] = [
    FailureKind::NoSlave,
    FailureKind::NoSlaveForTool,
    FailureKind::UnknownTool,
    FailureKind::Busy,
    FailureKind::RateLimited,
    FailureKind::Draining,
];

impl Refused {
    /// Reads a JSON-RPC error object.
    pub(super) fn of(status: u16, error: &Value) -> Self {
        // A peer's text, which goes into one line.
        let text = |value: &Value| value.as_str().map(|text| printable::line(text).into_owned());
        Self {
            status,
            code: error["code"].as_i64(),
            message: text(&error["message"]).unwrap_or_else(|| "an error without a message".into()),
            kind: text(&error["data"]["kind"]),
            advice: text(&error["data"]["advice"]),
        }
    }

    /// The error for an answer that is no JSON-RPC.
    pub(super) fn by_status(status: u16) -> Self {
        let message = "no MCP server answered: is it another server, or another path?".into();
        Self { status, code: None, message, kind: None, advice: None }
    }

    fn can_be_retried(&self) -> bool {
        match &self.kind {
            Some(kind) => FailureKind::parse(kind).is_some_and(|kind| TEMPORARY.contains(&kind)),
            // A gateway in front of the server has no server to pass the request to.
            None => self.code.is_none() && self.status == 503,
        }
    }

    fn facts(&self) -> String {
        let kind = self.kind.as_deref().map(|kind| format!("{kind}, ")).unwrap_or_default();
        let code = self.code.map(|code| format!("code {code}, ")).unwrap_or_default();
        format!("{kind}{code}status {}", self.status)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_shows_everything_that_the_server_sent() {
        let error = json!({ "code": -32000, "message": "No slave", "data": { "kind": "no_slave", "advice": "Start one." } });
        assert_eq!(
            Refused::of(200, &error).to_string(),
            "No slave (no_slave, code -32000, status 200). Start one."
        );
        let other = Refused::of(400, &json!({ "code": -32600, "message": "Bad" }));
        assert_eq!(other.to_string(), "Bad (code -32600, status 400)");
        assert!(Refused::by_status(502).to_string().contains("(status 502)"));
    }

    #[test]
    fn only_failures_that_ran_nothing_can_be_retried() {
        let of_kind =
            |kind: &str| Refused::of(200, &json!({ "code": -1, "message": "", "data": { "kind": kind } }));
        for kind in TEMPORARY {
            assert!(McpError::from(of_kind(kind.as_str())).can_be_retried(), "{kind}");
        }
        for kind in ["outcome_unknown", "timeout", "unauthorized", "backend_failed"] {
            assert!(!McpError::from(of_kind(kind)).can_be_retried(), "{kind}");
        }
        assert!(McpError::from(Refused::by_status(503)).can_be_retried());
        assert!(!McpError::from(Refused::by_status(502)).can_be_retried());
        assert!(!McpError::broken("cut").can_be_retried());
    }
}
