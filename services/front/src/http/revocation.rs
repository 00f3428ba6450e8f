//! Ends requests and open responses whose sender's key or token is not accepted any more. Must not know files of keys or issuers.

use protocol::mcp::failure::Failure;
use runtime::keys::Revocation;
use runtime::tokens::TokenRevocation;

use super::context::Handled;
use crate::authority::TokenEnd;

/// The end of what a sender showed.
#[derive(Debug)]
pub(crate) enum Ending {
    /// A key's removal or expiry.
    Key(Revocation),
    /// The expiry or revocation of a token of the authorization server beside the edge.
    Issued(Box<dyn TokenEnd>),
    /// A token's expiry or revocation.
    Token(Box<TokenRevocation>),
}

impl Ending {
    /// Waits for it. Cancel safe.
    async fn wait(&mut self) {
        match self {
            Self::Key(key) => key.wait().await,
            Self::Token(token) => token.wait().await,
            Self::Issued(end) => end.wait().await,
        }
    }

    /// Returns the failure of what ends with it.
    pub(crate) fn failure(&self) -> Failure {
        Failure::Unauthorized(match self {
            Self::Key(_) => "the key was removed or has expired".to_owned(),
            Self::Token(_) | Self::Issued(_) => "the token has expired or was revoked".to_owned(),
        })
    }
}

/// Waits for the result of a request, at most until the sender's key or token ends: then the request is dropped, and with it
/// the call that it began, and `refused` is its result. A response that is still open ends with it too.
pub(crate) async fn until_revoked<S>(
    mut ending: Ending,
    handled: impl Future<Output = Handled<S>>,
    refused: impl FnOnce() -> Handled<S>,
) -> Handled<S> {
    let Handled { result, counted_by } = tokio::select! {
        biased;
        handled = handled => handled,
        () = ending.wait() => return refused(),
    };
    let failure = ending.failure();
    let end = async move { ending.wait().await };
    let result = result.map(|response| response.map(|body| body.until(end, failure)));
    Handled { result, counted_by }
}
