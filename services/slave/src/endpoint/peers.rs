//! What proxies are told of each other, and what they say. Must not know how others are found.

use bytes::Bytes;
use protocol::link::ids::LinkId;
use protocol::link::peers::{Peers, to_text};
use tokio::sync::watch;

use super::{Endpoint, Outlook, State, lock};
use crate::metrics;

impl Endpoint {
    /// The proxies that have a link, for the first message of another.
    pub(crate) fn linked(&self) -> Vec<String> {
        to_text(&lock(&self.state).roster.linked())
    }

    /// Links that there should be, as far as is known.
    pub(crate) fn wanted(&self) -> usize {
        lock(&self.state).roster.wanted()
    }

    /// Links whose proxies go down.
    pub(crate) fn draining(&self) -> Vec<LinkId> {
        lock(&self.state).roster.on_their_way().collect()
    }

    /// Whether there are proxies to be looked for, and its changes.
    pub(crate) fn outlook(&self) -> watch::Receiver<Outlook> {
        self.outlook.subscribe()
    }

    /// Another code opens links now: those of older ones are to be renewed.
    pub(crate) fn code_changed(&self, turn: u64) {
        let mut state = lock(&self.state);
        state.roster.code_changed(turn);
        self.roster_changed(&mut state);
    }

    /// Links came or went, or what their proxies said of others changed: tells those who want to know.
    pub(super) fn roster_changed(&self, state: &mut State) {
        let report = state.roster.report().encode();
        if report != state.reported {
            for link in state.roster.takers() {
                state.end.peers(link, report.clone());
            }
            state.reported = report;
            state.wake_senders();
        }
        metrics::set_links_wanted(state.roster.wanted());
        let now = state.roster.outlook();
        self.outlook.send_if_modified(|outlook| std::mem::replace(outlook, now) != now);
    }

    /// The proxy behind a link said which others there are.
    pub(super) fn peers(&self, link: LinkId, json: &[u8]) {
        let Some(peers) = Peers::decode(json) else {
            return tracing::warn!("The proxy's list of proxies cannot be read");
        };
        let mut state = lock(&self.state);
        state.roster.told(link, &peers);
        self.roster_changed(&mut state);
    }

    /// The proxy behind a link goes down: it is not counted any more.
    pub(super) fn proxy_drains(&self, link: LinkId) {
        tracing::info!("The proxy is going down: it sends no new calls");
        let mut state = lock(&self.state);
        state.roster.draining(link);
        self.roster_changed(&mut state);
    }

    /// Tells the proxies behind the other links that a client has ended its session.
    pub(super) fn pass_on(&self, from: LinkId, facts: &Bytes) {
        let mut state = lock(&self.state);
        let State { end, roster, .. } = &mut *state;
        for link in roster.takers().filter(|link| *link != from) {
            end.session(link, facts.clone());
        }
        state.wake_senders();
    }
}
