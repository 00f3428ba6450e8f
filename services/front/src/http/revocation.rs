//! Ends requests and open responses whose sender's key, token or certificate is not accepted any more. Must not know files of keys or issuers.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use protocol::mcp::failure::Failure;
use runtime::keys::Revocation;
use runtime::tls::ClientCertificate;
use runtime::tokens::TokenRevocation;

use super::context::Handled;
use crate::authority::TokenEnd;

/// The end of what a sender showed: that of the first part that ends.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// That of a key or token; `None`: none was shown, or it has no end.
    text: Option<TextEnding>,
    certificate: Option<Arc<ClientCertificate>>,
}

/// The end of a key or token.
#[derive(Debug)]
pub(crate) enum TextEnding {
    /// A key's removal or expiry.
    Key(Revocation),
    /// The expiry or revocation of a token of the authorization server beside the edge.
    Issued(Box<dyn TokenEnd>),
    /// A token's expiry or revocation.
    Token(Box<TokenRevocation>),
}

impl TextEnding {
    async fn wait(&mut self) {
        match self {
            Self::Key(key) => key.wait().await,
            Self::Token(token) => token.wait().await,
            Self::Issued(end) => end.wait().await,
        }
    }
}

impl Ending {
    /// The end of these; `None`: nothing that was shown has an end.
    pub(crate) fn of(text: Option<TextEnding>, certificate: Option<Arc<ClientCertificate>>) -> Option<Self> {
        (text.is_some() || certificate.is_some()).then_some(Self { text, certificate })
    }

    /// Waits for it. Cancel safe.
    async fn wait(&mut self) {
        let Self { text, certificate } = self;
        let text = async {
            match text {
                Some(text) => text.wait().await,
                None => pending().await,
            }
        };
        let certificate = async {
            match certificate {
                Some(certificate) => certificate.ended().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = text => {}
            () = certificate => {}
        }
    }

    /// Returns the failure of what ends with it.
    pub(crate) fn failure(&self) -> Failure {
        let reason = match (&self.text, &self.certificate) {
            (Some(TextEnding::Key(_)), None) => "the key was removed or has expired",
            (Some(_), None) => "the token has expired or was revoked",
            (None, _) => "the client's certificate does not hold any more",
            (Some(_), Some(_)) => "the key, token or certificate does not hold any more",
        };
        Failure::Unauthorized(reason.to_owned())
    }
}

/// Waits for the result of a request, at most until what the sender showed ends: then the request is dropped, and with it
/// the call that it began, and `refused` is its result. A response that is still open ends with it too.
pub(crate) async fn until_revoked<S>(
    mut ending: Ending,
    handled: Pin<&mut impl Future<Output = Handled<S>>>,
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
