//! `OPS_PORT`, `OPS_HOST`, `UI` and `DASHBOARDS_URL`: the operators' port and the status page. Must not know what they serve.

use url::Url;

use super::listener::listener;
use super::variables::Settings;
use crate::env::{Reader, parse};
use crate::listen::ListenAddr;

/// What the status page is for (`UI`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusPage {
    /// There is none.
    #[default]
    Off,
    /// Operators read it.
    ReadOnly,
    /// Operators with the role `operate` also run tools and drain slaves by it.
    Full,
}

impl StatusPage {
    /// Whether there is a page.
    pub fn is_on(self) -> bool {
        self != Self::Off
    }
}

/// Parses `UI`.
fn status_page(text: &str) -> Result<StatusPage, String> {
    if text.eq_ignore_ascii_case("full") {
        return Ok(StatusPage::Full);
    }
    let page = |on: bool| if on { StatusPage::ReadOnly } else { StatusPage::Off };
    parse::flag(text).map(page).map_err(|_| "1, 0 or full".into())
}

/// Parses `DASHBOARDS_URL`, which everybody who opens the page reads.
fn dashboards_url(text: &str) -> Result<Url, String> {
    let is_plain = |url: &Url| url.username().is_empty() && url.password().is_none();
    let url = parse::http_url(text).ok().filter(is_plain);
    url.ok_or_else(|| "a URL that starts with http:// or https://, without user and password".into())
}

/// The configuration of the operators' endpoints.
#[derive(Clone, Debug, Default)]
pub struct OpsConfig {
    /// `OPS_HOST`, `OPS_PORT`: a separate port for health, metrics, API and status page. `None`: they share the
    /// clients' port.
    pub port: Option<ListenAddr>,
    /// `UI`: whether the status page is served and the calls that it shows are recorded.
    pub ui: StatusPage,
    /// `DASHBOARDS_URL`: where the status page leads for dashboards.
    pub dashboards: Option<Url>,
}

/// Reads the operators' variables; `http` is the clients' listener.
pub(super) fn read(reader: &mut Reader<'_>, settings: &Settings, http: &ListenAddr) -> OpsConfig {
    let port = read_port(reader, settings, http);
    if port.as_ref().is_some_and(|port| port.port != 0 && port.port == http.port) {
        let expected = "another port than MCP_SERVER_PORT; without OPS_PORT both share that one";
        reader.reject(&settings.ops_port, expected);
    }
    if port.is_none() && settings.ops_host.is_set() && !settings.ops_port.is_set() {
        reader.warn("OPS_HOST is set but OPS_PORT is not: health and metrics share the clients' port");
    }
    OpsConfig {
        port,
        ui: reader.value(&settings.ui, status_page),
        dashboards: reader.optional(&settings.dashboards_url, dashboards_url),
    }
}

/// Reads the address of the operators' endpoints: the ops port if there is one, otherwise the clients' port.
pub fn ops_listener(reader: &mut Reader<'_>) -> ListenAddr {
    let http = listener(reader);
    let settings = Settings::read(reader);
    read_port(reader, &settings, &http).unwrap_or(http)
}

fn read_port(reader: &mut Reader<'_>, settings: &Settings, http: &ListenAddr) -> Option<ListenAddr> {
    let host = reader.optional(&settings.ops_host, parse::host);
    let port = reader.optional(&settings.ops_port, parse::port)?;
    Some(ListenAddr {
        host: host.unwrap_or_else(|| http.host.clone()),
        port,
        host_var: settings.ops_host.name(),
        port_var: settings.ops_port.name(),
    })
}
