//! Facts about grants on their way between the proxies of a fleet: which were revoked, and which refresh tokens replaced others. Must not
//! know which are kept.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::link::grant_fact::{GrantFact, MAX_TOLD_GRANT_FACTS};
use protocol::link::ids::LinkId;
use protocol::link::revocation::RevocationFact;
use protocol::link::rotation::RotationFact;
use protocol::link::session_fact::SessionFact;

use super::proven_proxy::ProvenProxy;
use super::state::{Endpoint, State};

impl State {
    /// Tells a proxy whose link has come up what others of its fleet told.
    pub(super) fn tell_grant_facts(&mut self, link: LinkId, proxy: &ProvenProxy) {
        if self.proxies.takes_reports(link) {
            let now = unix_now();
            let revoked = self.revocations.for_fleet(&proxy.fleet, now);
            self.send_grant_facts(link, &revoked, SessionFact::Revoked);
            let rotated = self.rotations.for_fleet(&proxy.fleet, now);
            self.send_grant_facts(link, &rotated, SessionFact::Rotated);
        }
    }

    fn send_grant_facts<F: GrantFact>(&mut self, to: LinkId, facts: &[F], of: fn(Vec<F>) -> SessionFact) {
        for facts in facts.chunks(MAX_TOLD_GRANT_FACTS) {
            self.end.session(to, of(facts.to_vec()).encode());
        }
    }

    /// Passes facts on to the other proxies of the fleet of the one behind this link.
    fn forward<F: GrantFact>(&mut self, from: LinkId, facts: &[F], of: fn(Vec<F>) -> SessionFact) {
        let others: Vec<LinkId> = self.proxies.links_of_fleet(from).collect();
        for link in others {
            self.send_grant_facts(link, facts, of);
        }
        self.wake_senders();
    }
}

impl Endpoint {
    /// Takes facts about revoked grants that the proxy behind a link told, and passes on those that are new to the other proxies of its
    /// fleet.
    pub(super) fn on_revocations(&self, from: LinkId, facts: &[RevocationFact]) {
        let mut state = self.state.lock();
        let Some(fleet) = state.proxies.fleet_of(from) else { return };
        let new = state.revocations.insert(&fleet, facts, unix_now());
        if !new.is_empty() {
            tracing::debug!(grants = new.len(), "A proxy revoked grants");
            state.forward(from, &new, SessionFact::Revoked);
        }
    }

    /// Takes facts about refresh tokens that the proxy behind a link told, and passes on those that are new in the same way.
    pub(super) fn on_rotations(&self, from: LinkId, facts: &[RotationFact]) {
        let mut state = self.state.lock();
        let Some(fleet) = state.proxies.fleet_of(from) else { return };
        let new = state.rotations.insert(&fleet, facts, unix_now());
        if !new.is_empty() {
            state.forward(from, &new, SessionFact::Rotated);
        }
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
