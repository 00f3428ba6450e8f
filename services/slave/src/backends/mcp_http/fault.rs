//! Why a message has no answer. Must not know requests.

use protocol::mcp::failure::Failure;
use runtime::http_client::HttpError;

/// Seconds after which a call that did not reach the server is worth another try.
const RETRY_AFTER: u32 = 5;

/// Why a message has no answer. Texts name no path, no query and no header, and quote nothing that the server wrote.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("it answered with HTTP status {0}{hint}", hint = hint(*.0))]
    Status(u16),
    #[error("it redirects to {0}, which is not followed: another origin must not get this entry's headers")]
    Redirect(String),
    #[error("{0}")]
    Odd(String),
    #[error("the answer has more than {0} bytes (MAX_OUTPUT_BYTES)")]
    TooLarge(usize),
    #[error("its stream ended before the answer")]
    Ended,
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => ": it does not accept the \"headers\" of its entry",
        404 | 405 => ": is the \"url\" of its entry that of its MCP endpoint?",
        _ => "",
    }
}

impl Fault {
    /// Returns whether the server has not seen the message.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Http(HttpError::NoConnection(_)))
    }

    /// Returns the failure of a request of this method.
    pub(super) fn failure(&self, backend: &str, method: &str) -> Failure {
        match self {
            Self::TooLarge(_) => Failure::ResultTooLarge(format!("backend {backend:?}: {self}")),
            Self::Odd(reason) => Failure::BadAnswer(reason.clone()),
            // Whatever an older server says to it: it is asked again in the older way.
            Self::Status(_) | Self::Redirect(_) | Self::Ended if method == "server/discover" => {
                Failure::BadAnswer(self.to_string())
            }
            _ => Failure::BackendFailed {
                backend: backend.to_owned(),
                reason: self.to_string(),
                retry_after: self.is_unreachable().then_some(RETRY_AFTER),
            },
        }
    }
}
