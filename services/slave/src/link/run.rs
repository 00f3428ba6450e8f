//! The run of a link after its first messages. Must not know how to dial.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use link::{KeepAliveConfig, LinkDriver, LinkEnd, Signal};
use protocol::link::ids::LinkId;
use runtime::config::LinkPing;

use super::auth::{Connected, Socket};
use super::disconnect::DisconnectReason;
use super::native::NativeLink;
use super::plain::PlainLink;
use super::plain_proxy::Replaced;
use super::shared::Links;
use super::table::LinkInfo;

/// Time between two measurements of the round trip to the proxy. The proxy's own pings keep a link from being silent.
const MEASURE_INTERVAL: Duration = Duration::from_secs(15);

/// An authenticated link that is registered with the endpoint.
pub(crate) struct Authenticated {
    connected: Connected,
    id: LinkId,
    signal: Arc<Signal>,
    url: String,
    code_generation: u64,
}

impl Authenticated {
    /// Registers the link, so that the proxy counts as linked. `url` and `address` led to the proxy, and
    /// `code_generation` belongs to the code that opened the link.
    pub(crate) fn new(
        links: &Links,
        connected: Connected,
        url: String,
        address: SocketAddr,
        code_generation: u64,
    ) -> Self {
        let proven = connected.proxy.as_ref();
        if let Some(proxy) = proven {
            links.secrets.keep(proxy);
        }
        let (id, signal) = links.endpoint.link_up(proven, code_generation);
        let (proxy, agent) =
            proven.map(|proxy| (proxy.hello.instance.clone(), proxy.hello.agent.clone())).unzip();
        let info = LinkInfo {
            url: url.clone(),
            address,
            proxy,
            agent: agent.unwrap_or_default(),
            dialect: connected.dialect(),
            fleet: proven.map(|proxy| proxy.fleet),
            since: SystemTime::now(),
        };
        links.table.up(id, info);
        Self { connected, id, signal, url, code_generation }
    }

    /// Returns the generation of the code that opened the link.
    pub(crate) fn code_generation(&self) -> u64 {
        self.code_generation
    }

    /// Returns whether the proxy cannot tell a second link of this slave from another slave's, because it does not know
    /// other proxies.
    pub(crate) fn is_alone(&self) -> bool {
        self.connected.proxy.as_ref().is_none_or(|proxy| proxy.hello.peers.is_empty())
    }

    /// Returns the dialect of the link.
    pub(crate) fn dialect(&self) -> &'static str {
        self.connected.dialect()
    }
}

/// Runs the link until it ends, then closes the connection. Dropping the future drops the connection and leaves the
/// link registered.
pub(crate) async fn run(links: &Links, link: Authenticated) -> DisconnectReason {
    let Authenticated { connected: Connected { socket, proxy }, id, signal, url, .. } = link;
    let (reason, socket) = match proxy {
        Some(_) => drive(socket, NativeLink::new(&links.endpoint, id, signal), links.ping).await,
        None => drive_plain(links, socket, &url, id, signal).await,
    };
    match reason {
        DisconnectReason::GoingDown => links.endpoint.link_over(id),
        _ => links.endpoint.link_down(id),
    }
    links.table.down(id);
    if let Some((code, why)) = reason.close_frame() {
        socket.close(code, why).await;
    }
    reason
}

/// Runs a link to a plain proxy, whose requests outlive it.
async fn drive_plain(
    links: &Links,
    socket: Socket,
    url: &str,
    id: LinkId,
    signal: Arc<Signal>,
) -> (DisconnectReason, Socket) {
    let proxy = links.plain.at(url, &links.endpoint, &links.edge);
    let end = PlainLink::new(links, Arc::clone(&proxy), id, signal);
    let (reason, socket) = drive(socket, end, links.ping).await;
    let replaced = if reason == DisconnectReason::Replaced { Replaced::Yes } else { Replaced::No };
    proxy.link_down(id, replaced);
    (reason, socket)
}

async fn drive<E>(socket: Socket, end: E, ping: LinkPing) -> (DisconnectReason, Socket)
where
    E: LinkEnd<Stop = DisconnectReason> + Unpin,
{
    let config = KeepAliveConfig {
        interval: ping.interval,
        timeout: ping.timeout,
        measure_after: ping.interval,
        measure_interval: MEASURE_INTERVAL,
        late: MEASURE_INTERVAL,
    };
    let mut driver = LinkDriver::new(socket, end, config);
    let reason = (&mut driver).await;
    (reason, driver.into_parts().0)
}
