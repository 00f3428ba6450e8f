//! The state that the dialer's tasks share: connectors, and the URLs that must have only one link. Must not know when
//! to dial.

use parking_lot::Mutex;
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::link::handshake::SlaveHello;

use super::connect::{Connector, DialError};
use super::target::Target;
use crate::config::ProxyUrl;
use crate::endpoint::Stage;
use crate::link::{self, Authenticated, DisconnectReason, Links};
use crate::metrics;

/// Time limit for the resolution of a name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a host has no address, and what to do about it.
pub(super) struct Unresolved(pub(super) String);

/// The state that all dialing tasks share.
pub(super) struct Shared {
    links: Arc<Links>,
    connectors: Vec<Connector>,
    /// Held from the first message to its answer. Otherwise two attempts could reach the same proxy, where the second
    /// link would replace the first.
    authenticating: tokio::sync::Mutex<()>,
    /// URLs with a link to a proxy that cannot tell a second link of this slave.
    alone: Mutex<HashSet<usize>>,
}

impl Shared {
    pub(super) fn new(links: Arc<Links>, connectors: Vec<Connector>) -> Self {
        Self { links, connectors, authenticating: tokio::sync::Mutex::default(), alone: Mutex::default() }
    }

    /// Returns the parts that all links share.
    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    /// Returns the connector of the URL with this index in `PROXY_SERVER_URL`.
    pub(super) fn connector(&self, url: usize) -> &Connector {
        &self.connectors[url]
    }

    /// Returns the URL that the target belongs to.
    pub(super) fn url(&self, target: Target) -> &ProxyUrl {
        self.connector(target.url).url()
    }

    /// Returns the generation of the present code.
    pub(super) fn code_generation(&self) -> u64 {
        self.links.code.load().generation
    }

    /// Records the reason that there is no link, for `/readyz`.
    pub(super) fn set_status(&self, reason: &DisconnectReason) {
        self.links.status.set(reason);
    }

    /// Resolves the host that is dialed for a URL to at least one address: the URL's, or that of the forward proxy on the way, which
    /// resolves the URL's itself. Ends early when the slave has drained.
    pub(super) async fn resolve(&self, url: usize) -> Result<BTreeSet<SocketAddr>, Unresolved> {
        let connector = self.connector(url);
        if let Some(why) = connector.no_way() {
            return Err(Unresolved(why));
        }
        let lookup = tokio::net::lookup_host(connector.dialed());
        let resolving = async {
            let found = tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await;
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
            let found: BTreeSet<SocketAddr> = found.map_err(late)??.collect();
            if found.is_empty() { Err(io::Error::other("none is known")) } else { Ok(found) }
        };
        tokio::select! {
            found = resolving => found.map_err(|error| Unresolved(connector.explain_unresolved(&error))),
            () = self.links.endpoint.reached(Stage::Drained) => Err(Unresolved("going down".into())),
        }
    }

    /// Connects to a target and exchanges the first messages. Ends early when the slave has drained.
    pub(super) async fn dial(&self, target: Target) -> Result<Authenticated, DisconnectReason> {
        tokio::select! {
            dialed = self.authenticate(target) => dialed,
            () = self.links.endpoint.reached(Stage::Drained) => Err(DisconnectReason::Closing),
        }
    }

    async fn authenticate(&self, target: Target) -> Result<Authenticated, DisconnectReason> {
        let (links, connector) = (&self.links, self.connector(target.url));
        let in_use = links.endpoint.was_in_use(Instant::now());
        let socket = connector.connect(target.address, in_use).await.map_err(|error| match error {
            DialError::Busy { after } => DisconnectReason::Busy(after),
            error => DisconnectReason::Lost(error.to_string()),
        })?;
        let _authenticating = self.authenticating.lock().await;
        if self.alone.lock().contains(&target.url) {
            return Err(DisconnectReason::AlreadyLinked);
        }
        let nonce = link::new_nonce()
            .map_err(|error| DisconnectReason::Lost(format!("the system's random source failed: {error}")))?;
        let hello = SlaveHello {
            resume: links.secrets.proofs(&nonce),
            nonce,
            linked: Some(links.endpoint.linked()),
            ..links.hello.clone()
        };
        let code = links.code.load_full();
        let connected = link::authenticate(socket, &code.secret, &hello).await?;
        let origin = connector.url().origin();
        let link = Authenticated::new(links, connected, origin, target.address, code.generation);
        if link.is_alone() {
            self.alone.lock().insert(target.url);
        }
        let dialect = link.dialect();
        tracing::info!(dialect, address = %target.address, "Authentication successful, ready to receive requests");
        metrics::record_link_start(dialect);
        Ok(link)
    }

    /// Runs a link until it ends.
    pub(super) async fn run_link(&self, target: Target, link: Authenticated) -> DisconnectReason {
        let reason = link::run(&self.links, link).await;
        self.alone.lock().remove(&target.url);
        reason
    }

    /// Corrects the reason for the end of a link or attempt that began with the code of this generation. An older code
    /// may have been refused, or its link replaced, only because the code has changed.
    pub(super) fn reinterpret(&self, code_generation: u64, reason: DisconnectReason) -> DisconnectReason {
        if code_generation == self.code_generation() {
            return reason;
        }
        match reason {
            DisconnectReason::Refused(_) => DisconnectReason::Lost(
                "the proxy does not accept the code of before any more: the changed one is used".into(),
            ),
            DisconnectReason::Replaced => DisconnectReason::Renewed,
            other => other,
        }
    }
}
