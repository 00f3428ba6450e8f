//! Checks of a slave or standalone server: configuration, proxy, port and backends. Knows no step's details.

use ::slave::config::{Role, SlaveConfig};
use runtime::env::Snapshot;

use super::issuers::{self, Server};
use super::port::{self, Listener, Ports};
use super::report::Report;
use super::{access, backends, configuration, link, ways};
use crate::mode::Mode;

/// Runs all checks of a slave of this environment.
pub(super) async fn examine(report: &mut Report, snapshot: &Snapshot, role: Role) {
    let loaded = match SlaveConfig::load(snapshot, role) {
        Ok(loaded) => loaded,
        Err(problems) => {
            configuration::report_problems(report, &problems);
            backends::examine_file(report, snapshot);
            return configuration::skip_rest(report);
        }
    };
    let config = SlaveConfig { launcher: ::slave::launcher::this_program(), ..loaded.config };
    report.good("configuration", format!("every variable can be used; the name is {}", config.name));
    configuration::report_warnings(report, &loaded.warnings, snapshot);
    access::examine(report, &config.common, access::OtherCredentials::default());
    ways::examine(report, &config.common);
    for (name, url) in ::slave::http_servers(&config) {
        ways::url(report, &format!("backend {name}"), &url, &config.common.ways);
    }
    if let Some(link) = &config.link {
        link::examine(report, link, &config).await;
    }
    let mode = if config.link.is_some() { Mode::Slave } else { Mode::Standalone };
    let ports = Ports::of(&config.common, None);
    let (server, is_served) = match port::http(report, &ports, mode).await {
        Some(Listener::Running(state)) => {
            port::readiness(report, &state);
            (Server::Running, state["ready"] == true)
        }
        Some(Listener::Free) | None => (Server::Absent, false),
    };
    issuers::examine(report, &config.common, server).await;
    // Where it fails, the slave warns of it.
    let _ = ::slave::launcher::hide_this_process();
    backends::examine(report, &config, is_served).await;
}
