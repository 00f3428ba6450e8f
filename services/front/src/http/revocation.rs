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
    texts: TextEndings,
    certificate: Option<Arc<ClientCertificate>>,
}

/// The ends of the keys and tokens that a sender showed; `None`: none was shown, or it has no end.
#[derive(Debug, Default)]
pub(crate) struct TextEndings {
    /// That of the key or token that says who the sender is.
    pub(crate) first: Option<TextEnding>,
    /// That of a key beside it.
    pub(crate) beside: Option<TextEnding>,
}

impl TextEndings {
    fn is_empty(&self) -> bool {
        self.first.is_none() && self.beside.is_none()
    }

    /// Waits for the first of them.
    async fn wait(&mut self) {
        let Self { first, beside } = self;
        tokio::select! {
            () = wait_for(first) => {}
            () = wait_for(beside) => {}
        }
    }
}

async fn wait_for(ending: &mut Option<TextEnding>) {
    match ending {
        Some(ending) => ending.wait().await,
        None => pending().await,
    }
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
    pub(crate) fn of(texts: TextEndings, certificate: Option<Arc<ClientCertificate>>) -> Option<Self> {
        (!texts.is_empty() || certificate.is_some()).then_some(Self { texts, certificate })
    }

    /// Waits for it. Cancel safe.
    async fn wait(&mut self) {
        let Self { texts, certificate } = self;
        let certificate = async {
            match certificate {
                Some(certificate) => certificate.ended().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = texts.wait() => {}
            () = certificate => {}
        }
    }

    /// Returns the failure of what ends with it.
    pub(crate) fn failure(&self) -> Failure {
        let TextEndings { first, beside } = &self.texts;
        let reason = match (first, beside, &self.certificate) {
            (None | Some(TextEnding::Key(_)), None | Some(TextEnding::Key(_)), None) => {
                "the key was removed or has expired"
            }
            (Some(_), None, None) => "the token has expired or was revoked",
            (None, None, Some(_)) => "the client's certificate does not hold any more",
            _ => "the key, token or certificate does not hold any more",
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
