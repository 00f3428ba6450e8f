//! Access tokens as the server checks them: whose they are, and until when. Must not know where a token stands in a request.

use std::time::Duration;

use crate::clock::unix_now;
use crate::grant::{AccessToken, Subject};
use crate::seal::Purpose;
use crate::server::Broker;

/// Longest time between two looks at the clock.
const CHECK_INTERVAL: Duration = Duration::from_mins(1);

/// What a valid access token grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The user.
    pub subject: Subject,
    /// The granted scopes; never empty.
    pub scopes: Vec<String>,
    /// End of the token's validity, in seconds since 1970.
    pub expires: u64,
    family: String,
}

impl Broker {
    /// Returns whether a text has the form of an access token of a broker, valid or not.
    pub fn is_token(text: &[u8]) -> bool {
        text.starts_with(Purpose::Access.prefix().as_bytes())
    }

    /// Returns what an access token grants; `None` if it is malformed, altered, expired, revoked, of another server, or its user is gone.
    pub fn verify(&self, text: &[u8]) -> Option<Access> {
        self.verify_at(text, unix_now())
    }

    pub(crate) fn verify_at(&self, text: &[u8], now: u64) -> Option<Access> {
        if !Self::is_token(text) {
            return None;
        }
        let AccessToken { grant, expires } =
            self.vault.open(Purpose::Access, std::str::from_utf8(text).ok()?)?;
        let access = Access { subject: grant.subject, scopes: grant.scopes, expires, family: grant.family };
        (grant.resource == self.settings.url.resource() && self.is_valid(&access, now)).then_some(access)
    }

    fn is_valid(&self, access: &Access, now: u64) -> bool {
        access.expires > now
            && !self.revocations.contains(&access.family)
            && access.subject.outside == self.settings.provider.is_some()
            && self.users.present(&access.subject).is_some()
    }

    /// Waits until what a token granted has ended: it expired, was revoked, or its user is gone. Cancel safe.
    pub async fn ended(&self, access: &Access) {
        let (mut revoked, mut users) = (self.revocations.changes(), self.users.changes());
        loop {
            let now = unix_now();
            if !self.is_valid(access, now) {
                return;
            }
            let rest = Duration::from_secs(access.expires.saturating_sub(now)).min(CHECK_INTERVAL);
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                Ok(()) = revoked.changed() => {}
                Ok(()) = users.changed() => {}
            }
        }
    }
}
