//! `MCP_SERVER_HOST` and `MCP_SERVER_PORT`: the clients' listener. Must not know the other variables.

use super::variables::Settings;
use crate::env::{Reader, parse};
use crate::listen::ListenAddr;

/// Reads `MCP_SERVER_HOST` and `MCP_SERVER_PORT` alone.
pub fn listener(reader: &mut Reader<'_>) -> ListenAddr {
    let settings = Settings::read(reader);
    read_listener(reader, &settings)
}

/// Reads the clients' listener from settings that were read already.
pub(super) fn read_listener(reader: &mut Reader<'_>, settings: &Settings) -> ListenAddr {
    ListenAddr {
        host: reader.value(&settings.mcp_server_host, parse::host),
        port: reader.value(&settings.mcp_server_port, parse::port),
        host_var: settings.mcp_server_host.name(),
        port_var: settings.mcp_server_port.name(),
    }
}
