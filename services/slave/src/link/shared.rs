//! What every link of this process is made with: code, hello, calls, and the books about links. Must not know sockets.

use parking_lot::Mutex;
use std::sync::Arc;

use arc_swap::ArcSwap;
use front::Edge;
use protocol::link::handshake::SlaveHello;
use runtime::config::LinkPing;
use runtime::secret::Secret;

use super::disconnect::DisconnectReason;
use super::table::LinkTable;
use crate::endpoint::Endpoint;
use crate::local::LocalCalls;

/// Why no link is up, for those who ask whether the slave is ready.
pub(crate) struct LinkStatus(Mutex<String>);

impl Default for LinkStatus {
    fn default() -> Self {
        Self(Mutex::new("no proxy was reached yet".into()))
    }
}

impl LinkStatus {
    /// Records the end of a link or of an attempt.
    pub(crate) fn set(&self, reason: &DisconnectReason) {
        *self.0.lock() = reason.to_string();
    }

    /// Returns why the last link or attempt ended.
    pub(crate) fn why(&self) -> String {
        self.0.lock().clone()
    }
}

/// Parts that all links share.
pub(crate) struct Links {
    /// Calls and journals.
    pub(crate) endpoint: Arc<Endpoint>,
    /// Answers a proxy of the plain dialect.
    pub(crate) edge: Arc<Edge<LocalCalls>>,
    /// What the slave says of itself.
    pub(crate) hello: SlaveHello,
    /// `SLAVE_CODE`, or the present content of `SLAVE_CODE_FILE`.
    pub(crate) code: ArcSwap<Code>,
    /// `LINK_PING_INTERVAL_MS`, `LINK_PING_TIMEOUT_MS`.
    pub(crate) ping: LinkPing,
    /// Why no link is up.
    pub(crate) status: LinkStatus,
    /// The links that are up.
    pub(crate) table: LinkTable,
}

/// The code that opens links.
pub(crate) struct Code {
    /// The code as the proxy must have it.
    pub(crate) secret: Secret,
    /// How often the code has changed.
    pub(crate) generation: u64,
}

impl Code {
    /// The code that the slave was started with.
    pub(crate) fn first(secret: Secret) -> Self {
        Self { secret, generation: 0 }
    }
}

impl Links {
    /// Replaces the code: new links are opened with it, and links that an older one opened are renewed.
    pub(crate) fn change_code(&self, secret: Secret) {
        let generation = self.code.load().generation + 1;
        self.code.store(Arc::new(Code { secret, generation }));
        self.endpoint.code_changed(generation);
    }
}
