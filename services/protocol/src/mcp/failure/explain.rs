//! Explanations of outcomes, in constant texts: for people who look at calls of others. Must not know a call.

use super::kind::FailureKind;

impl FailureKind {
    /// Short sentence on what happened, without the details that only the client may see.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::NoSlave => "No slave is connected",
            Self::NoSlaveForTool => "No slave that offers the tool is ready",
            Self::Timeout => "The call took longer than its timeout",
            Self::OutcomeUnknown => "The slave was lost while it had the call",
            Self::BackendFailed => "The backend died or could not be reached",
            Self::Busy => "All that could run the call was at capacity",
            Self::RateLimited => "A rate limit was exceeded",
            Self::ClientLimit => "The client had too much under way",
            Self::Overloaded => "All clients together had too much under way",
            Self::AuditUnavailable => "The call could not be written to the audit log",
            Self::Draining => "The server was shutting down, or all its slaves were draining",
            Self::Cancelled => "The client cancelled the call",
            Self::ResultTooLarge => "The result was larger than a limit",
            Self::BadAnswer => "The slave or its backend sent no valid answer",
            Self::InputUnsupported => "The tool asked for input that this client cannot give",
            Self::ResultUnsupported => "The tool answered with a type of result that is not relayed",
            Self::StateLost => "The slave that gave out requestState is gone",
            Self::Internal => "A fault of the relay itself",
            Self::NotJson => "The body was not JSON",
            Self::InvalidRequest => "The body was not one JSON-RPC 2.0 message",
            Self::MethodNotFound => "The method does not exist",
            Self::InvalidParams => "The parameters have the wrong form",
            Self::UnknownTool => "No slave offers the tool",
            Self::UnknownPrompt => "No slave offers the prompt",
            Self::UnknownResource => "No slave offers the resource",
            Self::UnknownTask => "No slave has the task",
            Self::BadHttp => "The request broke the rules of HTTP",
            Self::UnsupportedCoding => "The body had an unknown transfer coding",
            Self::TargetTooLong => "The target of the request was too long",
            Self::HeadTooLarge => "The head of the request was too large",
            Self::BodyTooLarge => "The body was too large",
            Self::HeadTimeout => "The head of the request did not arrive in time",
            Self::BodyTimeout => "The body did not arrive in time",
            Self::Unauthorized => "The key or token was missing or wrong",
            Self::AnonymousRefused => "No keys are set, and the client is not in the private network",
            Self::KeyForbidden => "The key is one for other endpoints",
            Self::Forbidden => "The policy does not allow it",
            Self::InsufficientScope => "The token lacks scopes that the request needs",
            Self::IssuerUnavailable => "The issuer of the token could not be asked",
            Self::OriginForbidden => "The origin is not allowed",
            Self::HostForbidden => "The host is not allowed",
            Self::SessionNotFound => "The session is unknown or has ended",
            Self::HttpMethodNotAllowed => "The path does not allow the HTTP method",
            Self::NotAcceptable => "The client accepts no format of the response",
            Self::UnsupportedMediaType => "The body was not declared as JSON",
            Self::PathNotFound => "The path does not exist",
            Self::HeaderMismatch => "Headers and body differ",
            Self::MissingCapability => "The client lacks a capability that the call needs",
            Self::UnsupportedVersion => "The protocol version is not supported",
        }
    }
}

/// Explains the outcome of a call, as metrics and the status document name it: what happened, and advice, which may be
/// empty. `None`: the outcome is `ok`, or not known.
pub fn explain_outcome(outcome: &str) -> Option<[&'static str; 2]> {
    match outcome {
        "tool_error" => Some(["The tool reported an error", ""]),
        "error" => Some(["The backend answered with a JSON-RPC error", ""]),
        "abandoned" => Some(["The client disconnected; the call went on without it", ""]),
        "cancelled" => Some([FailureKind::Cancelled.summary(), ""]),
        "dropped" => Some(["The call was given up before it ended", ""]),
        _ => {
            let kind = FailureKind::ALL.into_iter().find(|kind| kind.as_str() == outcome)?;
            Some([kind.summary(), kind.spec().advice])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_but_success_is_explained() {
        for kind in FailureKind::ALL {
            let [text, advice] = explain_outcome(kind.as_str()).unwrap();
            assert!(!text.is_empty() && text.len() <= 80 && !text.ends_with('.'), "{text}");
            assert!(advice.is_empty() == (kind == FailureKind::Cancelled), "{advice}");
        }
        for outcome in ["tool_error", "error", "abandoned", "dropped"] {
            assert!(explain_outcome(outcome).is_some(), "{outcome}");
        }
        assert!(explain_outcome("ok").is_none() && explain_outcome("else").is_none());
    }
}
