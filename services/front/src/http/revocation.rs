//! Ends requests and open responses whose sender's key is not accepted any more. Must not know keys' files.

use protocol::mcp::failure::Failure;
use runtime::keys::Revocation;

use super::context::Handled;

/// Returns the failure of what ends with its key.
pub(crate) fn revoked() -> Failure {
    Failure::Unauthorized("the key was removed or has expired".into())
}

/// Waits for the result of a request, at most until the sender's key is revoked: then the request is dropped, and with it
/// the call that it began, and `refused` is its result. A response that is still open ends with the key too.
pub(crate) async fn until_revoked<S>(
    mut revocation: Revocation,
    handled: impl Future<Output = Handled<S>>,
    refused: impl FnOnce() -> Handled<S>,
) -> Handled<S> {
    let Handled { result, counted_by } = tokio::select! {
        biased;
        handled = handled => handled,
        () = revocation.wait() => return refused(),
    };
    let end = async move { revocation.wait().await };
    let result = result.map(|response| response.map(|body| body.until(end, revoked())));
    Handled { result, counted_by }
}
