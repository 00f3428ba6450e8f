//! The proxy's ports: bound before anything else begins, so that a port in use stops the start. Must not know what is
//! served on them.

use std::net::SocketAddr;
use std::sync::Arc;

use front::server::{OpsPort, Port};
use runtime::tls::ServerTls;
use tokio::net::TcpListener;

use super::RunError;
use crate::config::ProxyConfig;
use crate::tls::TlsState;

/// Where the proxy is reached.
pub(super) struct Ports {
    /// By clients.
    pub(super) http: Port,
    pub(super) http_at: SocketAddr,
    /// By slaves.
    pub(super) ws: TcpListener,
    pub(super) ws_tls: Option<Arc<ServerTls>>,
    /// By operators, where that is another port.
    pub(super) ops: OpsPort,
}

impl Ports {
    pub(super) async fn bind(config: &ProxyConfig, secured: &TlsState) -> Result<Self, RunError> {
        let http = config.common.http.bind().await?;
        let ws = config.ws.bind().await?;
        let ops = OpsPort::bind(config.common.ops.port.as_ref()).await?;
        Ok(Self {
            http_at: http.local_addr()?,
            http: Port::new(http, secured.http.clone()),
            ws,
            ws_tls: secured.ws.clone(),
            ops: ops.with_tls(secured.ops.clone()),
        })
    }

    /// Says where clients and slaves connect.
    pub(super) fn announce(&self, secured: &TlsState) -> Result<(), RunError> {
        let ws_at = self.ws.local_addr()?;
        let ws = if secured.ws.is_some() { "wss" } else { "ws" };
        let http = if secured.http.is_some() { "https" } else { "http" };
        tracing::info!("WebSocket server listening on {ws}://{ws_at}");
        tracing::info!("MCP server listening on {http}://{}", self.http_at);
        Ok(())
    }
}
