//! Facts about revoked grants on their way between the proxies of a fleet. Must not know which are kept.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::link::ids::LinkId;
use protocol::link::revocation::{MAX_TOLD_REVOCATIONS, RevocationFact};
use protocol::link::session_fact::SessionFact;

use super::proven_proxy::ProvenProxy;
use super::state::{Endpoint, State};

impl State {
    /// Tells a proxy whose link has come up what others of its fleet told.
    pub(super) fn tell_revocations(&mut self, link: LinkId, proxy: &ProvenProxy) {
        if self.proxies.takes_reports(link) {
            let facts = self.revocations.for_fleet(&proxy.fleet, unix_now());
            self.send_revocations(link, &facts);
        }
    }

    fn send_revocations(&mut self, link: LinkId, facts: &[RevocationFact]) {
        for facts in facts.chunks(MAX_TOLD_REVOCATIONS) {
            self.end.session(link, SessionFact::Revoked(facts.to_vec()).encode());
        }
    }
}

impl Endpoint {
    /// Takes facts about revoked grants that the proxy behind a link told, and passes on those that are new to the other proxies of its
    /// fleet.
    pub(super) fn on_revocations(&self, from: LinkId, facts: &[RevocationFact]) {
        let mut state = self.state.lock();
        let Some(fleet) = state.proxies.fleet_of(from) else { return };
        let new = state.revocations.insert(&fleet, facts, unix_now());
        if new.is_empty() {
            return;
        }
        tracing::debug!(grants = new.len(), "A proxy revoked grants");
        let others: Vec<LinkId> = state.proxies.links_of_fleet(from).collect();
        for link in others {
            state.send_revocations(link, &new);
        }
        state.wake_senders();
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
