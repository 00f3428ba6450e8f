//! The exchange of lists of proxies over the links: the slave's reports, and the proxies' own lists. Must not know how
//! proxies are found.

use bytes::Bytes;
use protocol::link::ids::LinkId;
use protocol::link::peers::{MAX_PEERS, Peers};
use tokio::sync::watch;

use super::known_proxies::PeerDiscovery;
use super::state::{Endpoint, State};
use crate::metrics;

impl Endpoint {
    /// Returns the linked proxies, for the first message of another link.
    pub(crate) fn linked(&self) -> Vec<String> {
        self.state.lock().proxies.linked().iter().take(MAX_PEERS).map(ToString::to_string).collect()
    }

    /// Returns the number of links that there should be, as far as is known.
    pub(crate) fn wanted(&self) -> usize {
        self.state.lock().proxies.wanted()
    }

    /// Returns the links whose proxies drain.
    pub(crate) fn draining(&self) -> Vec<LinkId> {
        self.state.lock().proxies.draining_links().collect()
    }

    /// Returns whether proxies are to be searched, and the changes of that.
    pub(crate) fn discovery(&self) -> watch::Receiver<PeerDiscovery> {
        self.discovery.subscribe()
    }

    /// Sets the generation of the code that opens links from now on: links of older ones are to be renewed.
    pub(crate) fn code_changed(&self, generation: u64) {
        let mut state = self.state.lock();
        state.proxies.set_code_generation(generation);
        self.on_proxies_changed(&mut state);
    }

    /// Reports a change of links, or of the proxies' lists, to the proxies that take reports and to the dialer.
    pub(super) fn on_proxies_changed(&self, state: &mut State) {
        let report = state.proxies.report().encode();
        if report != state.reported {
            for link in state.proxies.reporting_links() {
                state.end.peers(link, report.clone());
            }
            state.reported = report;
            state.wake_senders();
        }
        metrics::set_links_wanted(state.proxies.wanted());
        let now = state.proxies.discovery();
        self.discovery.send_if_modified(|discovery| std::mem::replace(discovery, now) != now);
    }

    /// Takes the list of proxies that the proxy behind a link knows.
    pub(super) fn on_peers(&self, link: LinkId, json: &[u8]) {
        let Some(peers) = Peers::decode(json) else {
            return tracing::warn!("The proxy's list of proxies cannot be read");
        };
        let mut state = self.state.lock();
        state.proxies.on_peers(link, &peers);
        self.on_proxies_changed(&mut state);
    }

    /// Marks the proxy behind a link as draining: it does not count any more.
    pub(super) fn on_proxy_draining(&self, link: LinkId) {
        tracing::info!("The proxy is going down: it sends no new calls");
        let mut state = self.state.lock();
        state.proxies.on_draining(link);
        self.on_proxies_changed(&mut state);
    }

    /// Forwards the end of a client's session to the other proxies of the fleet that it came from, byte for byte.
    pub(super) fn forward_session_end(&self, from: LinkId, facts: &Bytes) {
        let mut state = self.state.lock();
        let State { end, proxies, .. } = &mut *state;
        for link in proxies.links_of_fleet(from) {
            end.session(link, facts.clone());
        }
        state.wake_senders();
    }
}
