//! State that all requests share: settings, precomputed responses, session keys. Must not know HTTP messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use protocol::mcp::era::meta;
use protocol::mcp::log_level::SessionLevels;
use runtime::secret::SessionKeys;
use serde_json::json;
use tokio::sync::watch;

use crate::access::AccessReport;
use crate::calls::{Calls, Listing};
use crate::config::{BindScope, EdgeConfig};
use crate::listeners::Listeners;
use crate::metrics::{EdgeMeter, set_listening_streams};
use crate::open_streams::OpenStreams;
use crate::revoked::RevokedSessions;
use crate::session::{MAX_CLOCK_SKEW, Sealer, Session};
use crate::session_cache::SessionCache;
use crate::usage::Usage;

/// MCP endpoint in front of `C`, shared by all connections.
pub struct Edge<C> {
    pub(crate) config: EdgeConfig,
    pub(crate) calls: C,
    pub(crate) listing: watch::Receiver<Arc<Listing>>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) revoked: RevokedSessions,
    /// Sessions of tokens that were opened recently.
    pub(crate) sessions: SessionCache,
    pub(crate) meter: EdgeMeter,
    /// What clients use at the moment.
    pub(crate) usage: Usage,
    /// Member of `_meta` of modern lists and of `server/discover`: JSON.
    pub(crate) identity: String,
    /// `LIST_TTL_MS`, in milliseconds.
    pub(crate) list_ttl_ms: u64,
    /// GET streams of sessions.
    pub(crate) listeners: Arc<Listeners>,
    /// Streams of the transport of 2024-11-05.
    pub(crate) open_streams: Arc<OpenStreams>,
    /// Levels of log messages that sessions asked for at this replica.
    pub(crate) log_levels: Mutex<SessionLevels>,
    closing: watch::Sender<bool>,
    listening_streams: Arc<AtomicUsize>,
}

impl<C: Calls> Edge<C> {
    /// Creates an edge with these settings in front of `calls`.
    pub fn new(config: EdgeConfig, calls: C) -> Self {
        let identity = format!(r#""{}":{}"#, meta::SERVER_INFO, server_info(&config));
        let ttl = u64::try_from(config.list_ttl.as_millis()).unwrap_or(u64::MAX);
        Self {
            sealer: Arc::new(Sealer::new(&config.session_keys, config.session_ttl)),
            listing: calls.listing(),
            identity,
            list_ttl_ms: ttl,
            usage: Usage::new(config.limits),
            config,
            calls,
            revoked: RevokedSessions::default(),
            sessions: SessionCache::default(),
            meter: EdgeMeter::default(),
            listeners: Arc::default(),
            open_streams: Arc::default(),
            log_levels: Mutex::default(),
            closing: watch::Sender::new(false),
            listening_streams: Arc::default(),
        }
    }

    /// Returns the implementation of [`Calls`] behind the edge.
    pub fn calls(&self) -> &C {
        &self.calls
    }

    /// Returns who is served; `ops_port` is who can reach the operators' own port, if there is one.
    pub fn access_report(&self, ops_port: Option<BindScope>) -> AccessReport {
        AccessReport::new(&self.config, ops_port)
    }

    /// Returns the number of open GET streams. `/health` shows this number as `activeSessions`, since sessions are
    /// sealed tokens and cannot be counted.
    pub fn listening_streams(&self) -> usize {
        self.listening_streams.load(Ordering::Relaxed)
    }

    /// Returns a closure that sets this edge's gauges, to be called before each scrape. Keeps no edge alive.
    pub fn gauge_sampler(self: &Arc<Self>) -> impl Fn() + Send + Sync + 'static + use<C> {
        let edge = Arc::downgrade(self);
        move || {
            if let Some(edge) = edge.upgrade() {
                set_listening_streams(edge.listening_streams());
                edge.usage.sample();
            }
        }
    }

    /// Ends all GET streams, open and future ones. Without this call a server that waits for its connections never
    /// stops.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Replaces the keys of session tokens: tokens of a key that is gone are refused from now on.
    pub fn set_session_keys(&self, keys: &SessionKeys) {
        self.sealer.replace_keys(keys);
        self.sessions.clear();
    }

    /// Revokes a session that its client ended on another replica: the token is refused here too, until it expires.
    /// `key` is the session's key in call headers, `ended` the time in seconds since 1970. Malformed keys, and sessions that
    /// ended so long ago that no token of theirs is valid, are ignored.
    pub fn revoke_session(&self, key: &str, ended: u64) {
        let now = unix_now();
        // No token was issued after the session ended, but for the difference between the clocks of two replicas.
        let expires =
            ended.min(now).saturating_add(self.config.session_ttl.as_secs()).saturating_add(MAX_CLOCK_SKEW);
        if let Some(id) = Session::id_of(key).filter(|_| now < expires) {
            self.revoked.insert_id(id, expires, now);
            self.listeners.end(&id);
            self.log_levels.lock().remove(key);
        }
    }

    /// Ends a session: its token is refused, its streams end, and what is kept for it is released.
    pub(crate) fn end_session(&self, session: &Session) {
        self.revoked.insert(session, unix_now());
        self.listeners.end(&session.id);
        self.log_levels.lock().remove(&session.key());
        self.calls.end_session(&session.key());
    }

    /// Whether [`Self::close`] was called: new requests are refused.
    pub(crate) fn is_closed(&self) -> bool {
        *self.closing.borrow()
    }

    /// Returns a receiver that turns `true` when the edge closes.
    pub(crate) fn subscribe_closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Counts one open GET stream until the guard is dropped.
    pub(crate) fn count_listening_stream(&self) -> ListeningStreamGuard {
        self.listening_streams.fetch_add(1, Ordering::Relaxed);
        ListeningStreamGuard(Arc::clone(&self.listening_streams))
    }
}

impl<C> std::fmt::Debug for Edge<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Guard that keeps one GET stream in the count of [`Edge::listening_streams`].
pub(crate) struct ListeningStreamGuard(Arc<AtomicUsize>);

impl Drop for ListeningStreamGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the value of `cacheScope`.
pub(crate) fn cache_scope(is_private: bool) -> &'static str {
    if is_private { "private" } else { "public" }
}

/// Builds `serverInfo`, the same in both eras.
pub(crate) fn server_info(config: &EdgeConfig) -> serde_json::Value {
    let title = format!("{} {}", config.name, config.role);
    json!({ "name": config.name, "version": config.version, "title": title })
}

/// Returns the wall clock in seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
