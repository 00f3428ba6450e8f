//! The links that are up, for the status page. Must not know what they carry.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use protocol::link::ids::LinkId;

/// What is shown of one link.
#[derive(Clone, Debug)]
pub(crate) struct LinkInfo {
    /// Scheme, host and port of the URL that led there.
    pub(crate) url: String,
    /// The address that was dialed.
    pub(crate) address: SocketAddr,
    /// The proxy's process, as the proxy says; `None`: it speaks the plain dialect.
    pub(crate) proxy: Option<String>,
    /// Program and version of the proxy, as the proxy says.
    pub(crate) agent: String,
    /// The dialect: `native` or `plain`.
    pub(crate) dialect: &'static str,
    /// When the link came up.
    pub(crate) since: SystemTime,
}

/// Links by their ids.
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
