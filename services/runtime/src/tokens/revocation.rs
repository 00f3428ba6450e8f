//! The end of a token's validity. Must not know what ends with it.

use std::time::Duration;

use tokio::sync::watch;

use super::introspection;
use super::verifier::{AccessToken, TokenVerifier, unix_now};

/// Longest time between two looks at the clock, which may be set meanwhile.
const CLOCK_INTERVAL: Duration = Duration::from_secs(30);

/// The end of a token's validity: its expiry, its revocation where its issuer tells, or the removal of its issuer or key.
#[derive(Debug)]
pub struct TokenRevocation {
    verifier: TokenVerifier,
    token: AccessToken,
    changes: watch::Receiver<()>,
}

impl TokenVerifier {
    /// Returns the end of a token's validity, to be waited for.
    pub fn revocation(&self, token: &AccessToken) -> TokenRevocation {
        TokenRevocation { verifier: self.clone(), token: token.clone(), changes: self.changes() }
    }
}

impl TokenRevocation {
    /// Waits until the token is not accepted any more. Cancel safe.
    pub async fn wait(&mut self) {
        loop {
            self.changes.mark_unchanged();
            if !self.verifier.still_accepts(&self.token).await {
                return;
            }
            let pause = self.pause();
            tokio::select! {
                // The verifier holds a sender.
                _ = self.changes.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        let left = self
            .token
            .end()
            .map_or(CLOCK_INTERVAL, |end| Duration::from_secs(end.saturating_sub(unix_now())));
        let longest = if self.token.rests_on_word() { introspection::KEPT } else { CLOCK_INTERVAL };
        // The clock counts whole seconds: a second more at most, and never a busy loop.
        left.clamp(Duration::from_millis(200), longest)
    }
}
