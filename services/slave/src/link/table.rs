//! The table of the links that are up, for the status page. Must not know their messages.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

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
    /// Time at which the link came up.
    pub(crate) since: SystemTime,
}

/// The links by their ids.
#[derive(Default)]
pub(crate) struct LinkTable(Mutex<BTreeMap<LinkId, LinkInfo>>);

impl LinkTable {
    pub(super) fn up(&self, link: LinkId, info: LinkInfo) {
        self.0.lock().insert(link, info);
    }

    pub(super) fn down(&self, link: LinkId) {
        self.0.lock().remove(&link);
    }

    /// Returns all links that are up, the oldest first.
    pub(crate) fn all(&self) -> Vec<(LinkId, LinkInfo)> {
        self.0.lock().iter().map(|(link, info)| (*link, info.clone())).collect()
    }
}
