//! `OPS_PORT`, `OPS_HOST` and `UI`: where operators ask, and whether there is a page to look at.

use serde::Deserialize;

use crate::env::{Reader, parse};
use crate::listen::ListenAddr;

/// What operators are served.
#[derive(Clone, Debug, Default)]
pub struct OpsConfig {
    /// `OPS_HOST`, `OPS_PORT`: a port of its own for health, metrics, API and status page. `None`: they share the
    /// clients' port.
    pub port: Option<ListenAddr>,
    /// `UI`: the status page is served, and what it shows of calls is kept.
    pub ui: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    ops_port: Option<String>,
    ops_host: Option<String>,
    ui: Option<String>,
}

/// `http` is where clients are served.
pub(super) fn read(reader: &mut Reader<'_>, http: &ListenAddr) -> OpsConfig {
    let raw: Raw = reader.fill();
    let port = port(reader, &raw, http);
    if let Some(port) = port.as_ref().filter(|port| port.port != 0 && port.port == http.port) {
        let expected = "another port than MCP_SERVER_PORT; without OPS_PORT both share that one";
        reader.bad("OPS_PORT", &port.port.to_string(), expected.into());
    }
    if port.is_none() && raw.ops_host.is_some() && raw.ops_port.is_none() {
        reader.warn("OPS_HOST is set but OPS_PORT is not: health and metrics share the clients' port");
    }
    OpsConfig { port, ui: reader.value("UI", raw.ui.as_deref(), parse::flag) }
}

/// Where a server of this environment answers operators: its ops port, else the clients' port.
pub fn ops_listener(reader: &mut Reader<'_>) -> ListenAddr {
    let http = super::listener(reader);
    let raw: Raw = reader.fill();
    port(reader, &raw, &http).unwrap_or(http)
}

fn port(reader: &mut Reader<'_>, raw: &Raw, http: &ListenAddr) -> Option<ListenAddr> {
    let host = reader.optional("OPS_HOST", raw.ops_host.as_deref(), parse::host);
    let port = reader.optional("OPS_PORT", raw.ops_port.as_deref(), parse::port)?;
    Some(ListenAddr {
        host: host.unwrap_or_else(|| http.host.clone()),
        port,
        host_var: "OPS_HOST",
        port_var: "OPS_PORT",
    })
}
