//! The parts that all links of this process share: code, hello, calls, and records about links. Must not know sockets.

use parking_lot::Mutex;
use std::sync::Arc;

use arc_swap::ArcSwap;
use front::Edge;
use protocol::link::handshake::SlaveHello;
use runtime::config::LinkPing;
use runtime::secret::Secret;

use super::disconnect::DisconnectReason;
use super::plain_proxy::PlainProxies;
use super::proof::ResumeSecrets;
use super::table::LinkTable;
use crate::endpoint::Endpoint;
use crate::local::LocalCalls;

/// The reason that no link is up, for readiness.
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

    /// Returns the reason for the end of the last link or attempt.
    pub(crate) fn why(&self) -> String {
        self.0.lock().clone()
    }
}

/// The parts that all links share.
pub(crate) struct Links {
    /// Calls and journals.
    pub(crate) endpoint: Arc<Endpoint>,
    /// The proxies of the plain dialect, with their requests.
    pub(crate) plain: PlainProxies,
    /// The edge that answers proxies of the plain dialect.
    pub(crate) edge: Arc<Edge<LocalCalls>>,
    /// The description of the slave that it sends in its first message.
    pub(crate) hello: SlaveHello,
    /// `SLAVE_CODE`, or the present content of `SLAVE_CODE_FILE`.
    pub(crate) code: ArcSwap<Code>,
    /// The secrets that proxies gave to this process.
    pub(crate) secrets: ResumeSecrets,
    /// `LINK_PING_INTERVAL_MS`, `LINK_PING_TIMEOUT_MS`: detection of silent proxies.
    pub(crate) ping: LinkPing,
    /// The reason that no link is up.
    pub(crate) status: LinkStatus,
    /// The links that are up.
    pub(crate) table: LinkTable,
}

/// The code that opens links.
pub(crate) struct Code {
    /// The text of the code, which the proxy must know.
    pub(crate) secret: Secret,
    /// Number of changes of the code.
    pub(crate) generation: u64,
}

impl Code {
    /// Creates the code that the slave was started with.
    pub(crate) fn first(secret: Secret) -> Self {
        Self { secret, generation: 0 }
    }
}

impl Links {
    /// Replaces the code. New links are opened with the new code, and links that were opened with an older one are
    /// renewed.
    pub(crate) fn change_code(&self, secret: Secret) {
        let generation = self.code.load().generation + 1;
        self.code.store(Arc::new(Code { secret, generation }));
        self.endpoint.code_changed(generation);
    }
}
