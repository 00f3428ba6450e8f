//! What a message of a call has to be, and what can be wrong with it. Must not know how that is found.

use crate::mcp::call_message::token::ProgressToken;
use crate::mcp::era::Era;
use crate::mcp::scan::ScanFault;

/// What a message has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageShape {
    /// JSON-RPC notification of [`CALL_EVENTS`](super::CALL_EVENTS).
    Event,
    /// JSON-RPC request of [`CALL_REQUESTS`](super::CALL_REQUESTS), with an id of the slave that has the call.
    Request,
    /// `result` value of a response: an object.
    Result,
    /// `error` object of a response, with an integer `code` and a string `message`.
    Error,
}

/// What the call is, as far as the messages that it may have depend on it.
#[derive(Clone, Copy, Debug)]
pub struct CallRules<'a> {
    /// Era of the client.
    pub era: Era,
    /// What the ids of requests begin with; `None`: the call may have none.
    pub label: Option<&'a str>,
    /// The client's progress token; `None`: the client wants no progress.
    pub token: Option<&'a ProgressToken>,
}

/// Why a message is not one that the call may have. The text names no content of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageFault {
    /// Not one JSON value.
    #[error(transparent)]
    Scan(#[from] ScanFault),
    /// A result that is no object.
    #[error("a result is not an object")]
    NotAResult,
    /// An error without a code or a message, or with one of them twice.
    #[error("an error object lacks its code or message")]
    NotAnError,
    /// A request or response where only a notification may stand, or no JSON-RPC message at all.
    #[error("an event is not a notification")]
    NotANotification,
    /// A request that a call cannot have, or one with an id that is not its slave's.
    #[error("a request is not one that the slave may have its client answer")]
    NotARequest,
    /// A notification that a call cannot have.
    #[error("a notification is of a kind that a call does not have")]
    Method,
    /// Progress with another token than the call's.
    #[error("a progress notification does not carry the call's token")]
    ProgressToken,
}

impl MessageFault {
    /// Every stable name, for metrics.
    pub const NAMES: [&'static str; 8] = [
        "not_json",
        "too_deep",
        "not_a_result",
        "not_an_error",
        "not_a_notification",
        "not_a_request",
        "other_notification",
        "progress_token",
    ];

    /// Returns the stable name: metric label and log field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scan(ScanFault::TooDeep) => "too_deep",
            Self::Scan(_) => "not_json",
            Self::NotAResult => "not_a_result",
            Self::NotAnError => "not_an_error",
            Self::NotANotification => "not_a_notification",
            Self::NotARequest => "not_a_request",
            Self::Method => "other_notification",
            Self::ProgressToken => "progress_token",
        }
    }
}
