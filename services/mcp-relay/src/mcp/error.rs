//! Why there is no answer. Knows which failures are certain to have run nothing.

use protocol::mcp::failure::FailureKind;
use serde_json::Value;

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum McpError {
    /// Nothing was sent: nobody is there.
    #[error("{0:#}")]
    NoConnection(anyhow::Error),
    /// The server says no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The connection broke, or what came is no MCP.
    #[error("{0:#}")]
    Broken(anyhow::Error),
}

impl McpError {
    /// What came is no MCP.
    pub(crate) fn broken(what: impl Into<String>) -> Self {
        Self::Broken(anyhow::Error::msg(what.into()))
    }

    /// Whether another try may have more luck, and cannot run anything twice.
    pub(crate) fn is_not_yet(&self) -> bool {
        match self {
            Self::NoConnection(_) => true,
            Self::Refused(refused) => refused.is_not_yet(),
            Self::Broken(_) => false,
        }
    }
}

/// An error that a server answered with.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({}){}", self.facts(), self.advice.as_deref().map(|text| format!(". {text}")).unwrap_or_default())]
pub(crate) struct Refused {
    /// HTTP status.
    pub(crate) status: u16,
    /// JSON-RPC error code, where the answer is JSON-RPC.
    pub(crate) code: Option<i64>,
    message: String,
    /// Stable name of the failure, of servers of ours.
    pub(crate) kind: Option<String>,
    advice: Option<String>,
}

/// Kinds of failures after which nothing has run, and which pass.
const PASSING: [FailureKind; 6] = [
    FailureKind::NoSlave,
    FailureKind::NoSlaveForTool,
    FailureKind::UnknownTool,
    FailureKind::Busy,
    FailureKind::RateLimited,
    FailureKind::Draining,
];

impl Refused {
    /// A JSON-RPC error object.
    pub(super) fn of(status: u16, error: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            status,
            code: error["code"].as_i64(),
            message: text(&error["message"]).unwrap_or_else(|| "an error without a message".into()),
            kind: text(&error["data"]["kind"]),
            advice: text(&error["data"]["advice"]),
        }
    }

    /// An answer of something that speaks no JSON-RPC.
    pub(super) fn by_status(status: u16) -> Self {
        let message = "no MCP server answered: is it another server, or another path?".into();
        Self { status, code: None, message, kind: None, advice: None }
    }

    fn is_not_yet(&self) -> bool {
        match &self.kind {
            Some(kind) => FailureKind::parse(kind).is_some_and(|kind| PASSING.contains(&kind)),
            // What stands in front of a server has none to hand it to.
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
    fn a_refusal_says_all_that_is_known() {
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
    fn only_what_ran_nothing_is_tried_again() {
        let of_kind =
            |kind: &str| Refused::of(200, &json!({ "code": -1, "message": "", "data": { "kind": kind } }));
        for kind in PASSING {
            assert!(McpError::from(of_kind(kind.as_str())).is_not_yet(), "{kind}");
        }
        for kind in ["outcome_unknown", "timeout", "unauthorized", "backend_failed"] {
            assert!(!McpError::from(of_kind(kind)).is_not_yet(), "{kind}");
        }
        assert!(McpError::from(Refused::by_status(503)).is_not_yet());
        assert!(!McpError::from(Refused::by_status(502)).is_not_yet());
        assert!(!McpError::broken("cut").is_not_yet());
    }
}
