//! The proxy's ports: bound before anything else starts, so that a port in use prevents the start. Must not know what
//! is served on them.

use std::net::SocketAddr;
use std::sync::Arc;

use front::AccessReport;
use front::server::{OpsPort, Port};
use runtime::start::StartError;
use runtime::tls::ServerTls;
use tokio::net::TcpListener;

use crate::config::ProxyConfig;
use crate::tls::TlsState;

/// The bound ports of a proxy.
pub(super) struct Ports {
    /// The port of MCP clients.
    pub(super) http: Port,
    pub(super) http_at: SocketAddr,
    /// The port of slaves.
    pub(super) ws: TcpListener,
    pub(super) ws_tls: Option<Arc<ServerTls>>,
    /// The port of operators, which may be that of the clients.
    pub(super) ops: OpsPort,
}

/// The addresses of a proxy as URLs.
pub(super) struct Addresses {
    clients: String,
    slaves: String,
    /// `None`: that of clients.
    operators: Option<String>,
    tls: &'static str,
}

impl Addresses {
    /// Logs the start, in one line.
    pub(super) fn log_start(&self, access: AccessReport, codes: usize) {
        let Self { clients, slaves, operators, tls } = self;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            mode = "proxy",
            clients,
            slaves,
            operators,
            keys = access.client_keys(),
            ops_keys = access.operator_keys(),
            tls,
            codes,
            "Ready to accept MCP client connections"
        );
    }
}

impl Ports {
    pub(super) async fn bind(config: &ProxyConfig, secured: &TlsState) -> Result<Self, StartError> {
        let http = config.common.http.bind().await?;
        let ws = config.ws.bind().await?;
        let ops = OpsPort::bind(config.common.ops.port.as_ref()).await?;
        Ok(Self {
            http_at: http.local_addr().map_err(StartError::Address)?,
            http: Port::new(http, secured.http.clone()),
            ws,
            ws_tls: secured.ws.clone(),
            ops: ops.with_tls(secured.ops.clone()),
        })
    }

    /// Logs the addresses that clients and slaves connect to. Returns them with that of operators.
    pub(super) fn announce(&self, secured: &TlsState) -> Result<Addresses, StartError> {
        let ws_at = self.ws.local_addr().map_err(StartError::Address)?;
        let ws = if secured.ws.is_some() { "wss" } else { "ws" };
        let http = if secured.http.is_some() { "https" } else { "http" };
        let (clients, slaves) = (format!("{http}://{}", self.http_at), format!("{ws}://{ws_at}"));
        tracing::info!("WebSocket server listening on {slaves}");
        tracing::info!("MCP server listening on {clients}");
        let tls = match (secured.http.is_some(), secured.ws.is_some()) {
            (true, true) => "on",
            (true, false) => "for clients",
            (false, true) => "for slaves",
            (false, false) => "off",
        };
        Ok(Addresses { clients, slaves, operators: self.ops.url(), tls })
    }
}
