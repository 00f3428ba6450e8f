//! The links that are up, as people are shown them. Must not know what they carry.

use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use protocol::link::ids::LinkId;

/// One link.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Scheme, host and port of the URL that led there.
    pub(crate) url: String,
    /// The address that was dialed.
    pub(crate) address: SocketAddr,
    /// The proxy's process, as it says; `None`: it speaks the plain dialect.
    pub(crate) proxy: Option<String>,
    /// Program and version of the proxy, as it says.
    pub(crate) agent: String,
    /// Which dialect both speak.
    pub(crate) dialect: &'static str,
    /// Since when.
    pub(crate) since: SystemTime,
}

/// Links by their names.
#[derive(Default)]
pub(crate) struct Board(Mutex<BTreeMap<LinkId, Facts>>);

impl Board {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<LinkId, Facts>> {
        self.0.lock()
    }

    pub(super) fn up(&self, link: LinkId, facts: Facts) {
        self.lock().insert(link, facts);
    }

    pub(super) fn down(&self, link: LinkId) {
        self.lock().remove(&link);
    }

    /// All that are up, the oldest first.
    pub(crate) fn all(&self) -> Vec<(LinkId, Facts)> {
        self.lock().iter().map(|(link, facts)| (*link, facts.clone())).collect()
    }
}
