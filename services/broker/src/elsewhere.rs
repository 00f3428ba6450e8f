//! What other processes say of grants, and what they are told: revocations, and the refresh tokens that are valid. Must not know how it
//! travels.

use crate::clock::unix_now;
use crate::metrics::{Revoked, record_revocations};
use crate::revocations::RevokedGrant;
use crate::rotation::RotatedGrant;
use crate::server::Broker;

impl Broker {
    /// Returns whether a grant is revoked, of which only the id is known.
    pub fn is_revoked(&self, family: &str) -> bool {
        self.revocations.contains(family)
    }

    /// Revokes grants that were revoked at another process.
    pub fn take_revocations(&self, grants: Vec<RevokedGrant>) {
        let new = self.revocations.add(grants, unix_now());
        if new > 0 {
            tracing::warn!(grants = new, why = Revoked::Elsewhere.why(), "Grants were revoked");
            record_revocations(Revoked::Elsewhere, new);
        }
    }

    /// Sets the listener for revoked grants, wherever they were revoked: it is called with those of before at once, and then with each
    /// once. Only the first listener is kept.
    pub fn on_revocation(&self, listener: impl Fn(&[RevokedGrant]) + Send + Sync + 'static) {
        self.revocations.listen(listener);
    }

    /// Returns whether what another process says of a token changes nothing here.
    pub fn knows_rotation(&self, told: &RotatedGrant) -> bool {
        self.revocations.contains(&told.family) || self.rotation.knows(told)
    }

    /// Takes what another process says of a token that it issued. Where it issued it for one that was used here too, the grant ends.
    pub fn take_rotation(&self, told: &RotatedGrant) {
        if self.rotation.take(told).is_err() {
            let reason = if told.generation == 0 { Revoked::CodeReuse } else { Revoked::RefreshReuse };
            tracing::warn!(why = reason.why(), "A grant was revoked");
            self.revoke_family(&told.family, told.ends, unix_now(), reason);
        }
    }

    /// Sets the listener for refresh tokens that were issued, wherever they were. Only the first listener is kept.
    pub fn on_rotation(&self, listener: impl Fn(&RotatedGrant) + Send + Sync + 'static) {
        self.rotation.listen(listener);
    }

    /// Ends everything of a grant, of which only the id and the end are known.
    pub(crate) fn revoke_family(&self, family: &str, ends: u64, now: u64, reason: Revoked) {
        record_revocations(reason, 1);
        self.revocations.add(vec![RevokedGrant { family: family.to_owned(), ends }], now);
    }
}
