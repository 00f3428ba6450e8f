//! What a slave dials for a proxy's URL: the proxy itself, or the forward proxy on the way to it. Knows neither TLS with the proxy
//! nor WebSocket.

use std::net::SocketAddr;
use std::time::Duration;

use ::slave::config::ProxyUrl;
use runtime::io_fault::describe;
use runtime::outbound::{ForwardProxy, Way, WayFault, WayFaultKind};
use runtime::tls::MaybeTlsStream;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::report::Fault;

/// Longest time for each of name resolution and TCP connection.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// The server that is dialed.
pub(super) struct Dialed<'a> {
    host: &'a str,
    port: u16,
    /// The proxy behind, as `host:port`.
    target: String,
    forward: Option<&'a ForwardProxy>,
}

/// Connections, each with the address.
pub(super) type Connected = Vec<(TcpStream, SocketAddr)>;

impl<'a> Dialed<'a> {
    pub(super) fn of(url: &'a ProxyUrl, way: &'a Way) -> Self {
        let target = url.authority();
        match way {
            Way::Through(forward) => {
                let (host, port) = forward.address();
                Self { host, port, target, forward: Some(forward) }
            }
            Way::Direct { .. } | Way::Unusable(_) => {
                Self { host: url.host(), port: url.port(), target, forward: None }
            }
        }
    }

    pub(super) async fn resolve(&self) -> Result<(Vec<SocketAddr>, String), Fault> {
        let host = self.host;
        let why = match timeout(STEP_TIMEOUT, tokio::net::lookup_host((host, self.port))).await {
            Ok(Ok(found)) => {
                let addresses: Vec<SocketAddr> = found.collect();
                let text = addresses.iter().map(|a| a.ip().to_string()).collect::<Vec<_>>().join(", ");
                return Ok((addresses, format!("{host} is {text}")));
            }
            Ok(Err(error)) => describe(&error),
            Err(_) => format!("no answer within {STEP_TIMEOUT:?}"),
        };
        Err(match self.forward {
            Some(forward) => fault(&forward.fault(&self.target, WayFaultKind::Unresolved(why))),
            None => Fault::new(
                format!("{host} has no address: {why}"),
                "check the host name in PROXY_SERVER_URL and this machine's name resolution; where only a forward proxy knows it, set HTTPS_PROXY or PROXY_TUNNEL_URL",
            ),
        })
    }

    /// Connects to every address. Returns the connections, and the failures of the other addresses.
    pub(super) async fn connect(
        &self,
        addresses: &[SocketAddr],
    ) -> Result<((Connected, Vec<String>), String), Fault> {
        let (mut connected, mut failures) = (Vec::new(), Vec::new());
        for address in addresses {
            match timeout(STEP_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => connected.push((stream, *address)),
                Ok(Err(error)) => failures.push(format!("{address}: {}", describe(&error))),
                Err(_) => failures.push(format!("{address}: no answer within {STEP_TIMEOUT:?}")),
            }
        }
        if connected.is_empty() {
            let why = failures.join("; ");
            return Err(match self.forward {
                Some(forward) => fault(&forward.fault(&self.target, WayFaultKind::Unreachable(why))),
                None => Fault::new(
                    why,
                    "start the proxy, compare the port with its PROXY_WS_PORT, have it listen on an address that this \
                     machine reaches (PROXY_WS_HOST), and let the firewall pass it; where only a forward proxy gets out, \
                     set HTTPS_PROXY or PROXY_TUNNEL_URL",
                ),
            });
        }
        let text = connected.iter().map(|(_, address)| address.to_string()).collect::<Vec<_>>().join(", ");
        Ok(((connected, failures), format!("connected to {text}")))
    }

    /// Opens the tunnel over a connection, if there is a forward proxy.
    pub(super) async fn tunnel(&self, stream: TcpStream) -> Result<(MaybeTlsStream, String), Fault> {
        match self.forward {
            None => Ok((MaybeTlsStream::from(stream), String::new())),
            Some(forward) => match forward.open_over(stream, &self.target).await {
                Ok(stream) => Ok((stream, format!("{forward} opens a way to {}", self.target))),
                Err(error) => Err(fault(&error)),
            },
        }
    }
}

fn fault(error: &WayFault) -> Fault {
    Fault::new(error.what(), error.fix())
}
