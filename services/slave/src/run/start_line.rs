//! The log line of a start. Must not know what is served.

use front::AccessReport;

/// What the line of a start says.
pub(super) struct StartLine {
    /// `slave` or `standalone`.
    pub(super) role: &'static str,
    pub(super) name: String,
    /// The proxies that are dialled; `None`: the standalone server.
    pub(super) proxies: Option<String>,
    /// URL of the operators' port; `None`: that of clients.
    pub(super) operators: Option<String>,
    pub(super) access: AccessReport,
}

impl StartLine {
    /// Logs the line. `clients` is the URL of the clients' port.
    pub(super) fn log(&self, clients: &str) {
        let is_tls =
            self.proxies.as_ref().is_some_and(|urls| urls.split(',').all(|url| url.starts_with("wss:")));
        let tls = if is_tls { "for links" } else { "off" };
        let Self { role, name, proxies, operators, access } = self;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            mode = role,
            name,
            clients,
            operators,
            proxies,
            keys = access.client_keys(),
            ops_keys = access.operator_keys(),
            tls,
            "Ready to accept MCP client connections"
        );
    }
}
