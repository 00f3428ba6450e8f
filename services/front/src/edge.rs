//! What is the same for every request: settings, precomputed answers, session keys. Must not know HTTP messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use protocol::mcp::era::{Version, meta};
use serde_json::json;
use tokio::sync::watch;

use crate::calls::{Calls, Listing};
use crate::config::EdgeConfig;
use crate::observer::{NoObserver, Observer};
use crate::revoked::RevokedSessions;
use crate::session::{Sealer, Session};
use crate::session_cache::SessionCache;

/// The edge in front of `C`. Shared by all connections.
pub struct Edge<C> {
    pub(crate) config: EdgeConfig,
    pub(crate) calls: C,
    pub(crate) listing: watch::Receiver<Arc<Listing>>,
    pub(crate) sealer: Sealer,
    pub(crate) ended: RevokedSessions,
    /// Tokens that were opened lately.
    pub(crate) recent: SessionCache,
    pub(crate) observer: Box<dyn Observer>,
    /// The result of `server/discover`.
    pub(crate) discovery: Bytes,
    /// What follows the array in the response to a modern `tools/list`.
    pub(crate) list_tail: String,
    closing: watch::Sender<bool>,
    listeners: Arc<AtomicUsize>,
}

impl<C: Calls> Edge<C> {
    /// An edge that counts nothing.
    pub fn new(config: EdgeConfig, calls: C) -> Self {
        let identity = json!({ meta::SERVER_INFO: server_info(&config) });
        let ttl = u64::try_from(config.list_ttl.as_millis()).unwrap_or(u64::MAX);
        // Where keys are asked for, a shared cache must not hand lists to those who have none.
        let scope = if config.keys.is_empty() { "public" } else { "private" };
        let discovery = json!({
            "resultType": "complete",
            "supportedVersions": Version::ALL.map(Version::as_str),
            "capabilities": { "tools": {} },
            "ttlMs": ttl,
            "cacheScope": scope,
            "_meta": identity,
        });
        Self {
            sealer: Sealer::new(&config.session_key, config.session_ttl),
            listing: calls.listing(),
            discovery: discovery.to_string().into(),
            list_tail: format!(r#","ttlMs":{ttl},"cacheScope":"{scope}","_meta":{identity}}}}}"#),
            config,
            calls,
            ended: RevokedSessions::default(),
            recent: SessionCache::default(),
            observer: Box::new(NoObserver),
            closing: watch::Sender::new(false),
            listeners: Arc::default(),
        }
    }

    /// The same edge, telling `observer` of each request that it answers itself.
    #[must_use]
    pub fn with_observer(self, observer: impl Observer) -> Self {
        Self { observer: Box::new(observer), ..self }
    }

    /// What stands behind it.
    pub fn calls(&self) -> &C {
        &self.calls
    }

    /// Open GET streams: what `/health` calls active sessions, since sessions themselves are not counted anywhere.
    pub fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    /// Ends all GET streams, now and later ones: without it a server that waits for its connections never stops.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// A client ended the session of this key (that of the call headers) on another replica: its token is refused here
    /// too, for as long as it can be good. What is no key is ignored.
    pub fn session_ended(&self, key: &str) {
        if let Some(id) = Session::id_of(key) {
            self.ended.add_id(id, now().saturating_add(self.config.session_ttl.as_secs()), now());
        }
    }

    /// Whether [`Self::close`] was called: nothing new begins.
    pub(crate) fn is_closed(&self) -> bool {
        *self.closing.borrow()
    }

    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    pub(crate) fn listener(&self) -> Listener {
        self.listeners.fetch_add(1, Ordering::Relaxed);
        Listener(Arc::clone(&self.listeners))
    }
}

impl<C> std::fmt::Debug for Edge<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("config", &self.config).finish_non_exhaustive()
    }
}

/// One open GET stream, counted while it lives.
pub(crate) struct Listener(Arc<AtomicUsize>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `serverInfo` of both eras.
pub(crate) fn server_info(config: &EdgeConfig) -> serde_json::Value {
    let title = format!("{} {}", config.name, config.role);
    json!({ "name": config.name, "version": config.version, "title": title })
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
