//! Refresh tokens that the OAuth broker issued in place of others, told between the proxies of a fleet through slaves: the use of a token
//! that was replaced is noticed at all proxies. Must not know tokens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::link::rotation::RotationFact;
use protocol::link::session_fact::SessionFact;

use super::grant_tables::IssuedToken;
use super::grants::unix_now;
use super::registry::Registry;
use super::slave::Slave;

/// Shortest time between two announcements: what is issued meanwhile is told together, of each grant the newest.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(100);

impl Registry {
    /// Has every slave told, those that connect later included, which token of a grant is valid.
    pub(crate) fn tell_issued(&self, issued: IssuedToken) {
        let IssuedToken { grant, until, generation, token } = issued;
        let fact = RotationFact { until, grant, generation, token, tag: [0; 16] };
        self.grants.rotations.insert(&[self.fleet().rotation(&fact)], unix_now());
    }

    /// Tells linked slaves what they were not told yet. The caller holds no link's lock.
    pub(super) fn send_pending_rotations(&self) {
        let facts = self.grants.rotations.take_pending();
        if !facts.is_empty() {
            for slave in self.all() {
                slave.send_grant_facts(&facts, SessionFact::Rotated);
            }
        }
    }

    /// Takes the tokens that were issued at another proxy, as a slave forwards it. Nobody but a proxy of the fleet can say so.
    pub(super) fn on_forwarded_rotations(&self, facts: &[RotationFact], slave: &Slave) {
        let Some(grants) = self.grants.grants.get() else { return };
        let (now, clock) = (Instant::now(), unix_now());
        for fact in facts.iter().filter(|fact| fact.until > clock) {
            let issued = IssuedToken::from(fact);
            if grants.knows(&issued) {
                continue;
            }
            if slave.is_distrusted(now) {
                return;
            }
            if self.fleet().is_genuine_rotation(fact) {
                grants.on_issued(&issued);
            } else {
                slave.record_false_fact("rotation", now);
            }
        }
    }
}

/// Tells linked slaves of issued tokens, until the future is dropped. Where they are learned of, the lock of a link may be held.
pub(crate) async fn announce_rotations(registry: Arc<Registry>) {
    loop {
        registry.grants.rotations.changed.notified().await;
        registry.send_pending_rotations();
        tokio::time::sleep(ANNOUNCE_INTERVAL).await;
    }
}
