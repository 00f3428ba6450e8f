//! A slave's (or standalone server's) configuration, its proxy, its backends and its port.

use ::slave::config::{Role, SlaveConfig};
use runtime::env::Snapshot;

use super::port::{self, Doors, Occupant};
use super::report::Report;
use super::{backends, link};
use crate::mode::Mode;

/// Everything that can be told about a slave of this environment.
pub(super) async fn examine(report: &mut Report, snapshot: &Snapshot, role: Role) {
    let loaded = match SlaveConfig::load(snapshot, role) {
        Ok(loaded) => loaded,
        Err(problems) => return super::refuse(report, &problems),
    };
    let config = loaded.config;
    report.good("configuration", format!("every variable can be used; the name is {}", config.name));
    super::warn(report, &loaded.warnings, snapshot);
    if let Some(link) = &config.link {
        link::examine(report, link, &config).await;
    }
    let mode = if config.link.is_some() { Mode::Slave } else { Mode::Standalone };
    let doors = Doors::of(&config.common, None);
    if let Some(Occupant::Running(state)) = port::http(report, &doors, mode).await {
        port::readiness(report, &state);
    }
    backends::examine(report, &config).await;
}
