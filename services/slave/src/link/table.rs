//! The table of the links that are up, for the status page. Must not know their messages.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use protocol::link::fleet::FleetKeys;
use protocol::link::ids::LinkId;

/// The description of a link on the status page.
#[derive(Clone, Debug)]
pub(crate) struct LinkInfo {
    /// Scheme, host and port of the URL that led to the proxy.
    pub(crate) url: String,
    /// The address that was dialed.
    pub(crate) address: SocketAddr,
    /// Instance id of the proxy, as the proxy reports it; `None`: the proxy speaks the plain dialect.
    pub(crate) proxy: Option<String>,
    /// Program and version of the proxy, as the proxy reports them.
    pub(crate) agent: String,
    /// The dialect: `native` or `plain`.
    pub(crate) dialect: &'static str,
    /// The keys of the proxy's fleet; `None`: the proxy speaks the plain dialect.
    pub(crate) fleet: Option<FleetKeys>,
    /// Time at which the link came up.
    pub(crate) since: SystemTime,
}

/// The links by their ids.
#[derive(Default)]
pub(crate) struct LinkTable {
    links: Mutex<BTreeMap<LinkId, LinkInfo>>,
    /// Whether it was reported that one URL leads to proxies of different fleets.
    mixed: AtomicBool,
}

impl LinkTable {
    pub(super) fn up(&self, link: LinkId, info: LinkInfo) {
        let mut links = self.links.lock();
        let is_mixed = links.values().any(|other| {
            let both = other.fleet.zip(info.fleet);
            other.url == info.url && both.is_some_and(|(one, other)| !one.shares_a_key(&other))
        });
        if is_mixed && !self.mixed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{} leads to proxies with different SESSION_KEYs: they form no fleet, so that one cannot resume or cancel the \
                 calls of another. Give all proxies the same SESSION_KEY",
                info.url
            );
        }
        links.insert(link, info);
    }

    pub(super) fn down(&self, link: LinkId) {
        self.links.lock().remove(&link);
    }

    /// Returns all links that are up, the oldest first.
    pub(crate) fn all(&self) -> Vec<(LinkId, LinkInfo)> {
        self.links.lock().iter().map(|(link, info)| (*link, info.clone())).collect()
    }
}
