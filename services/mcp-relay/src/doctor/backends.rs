//! Checks whether the backends of a slave start, and which tools they offer. Knows no proxy.

use std::time::Duration;

use ::slave::config::SlaveConfig;
use ::slave::executor::{BackendState, Executor};

use super::report::Report;

/// Longest time that all backends together may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest time that the backends may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Starts the backends as the slave would, reports their states, and stops them again.
pub(super) async fn examine(report: &mut Report, config: &SlaveConfig) {
    if let Ok(file) = ::slave::backends_file(config) {
        for problem in file.problems {
            report.bad(
                "backends",
                format!("{problem}; the slave leaves the entry out"),
                "correct the entry in the file that SLAVE_BACKENDS names",
            );
        }
        for warning in file.warnings {
            report.warn("backends", warning);
        }
    }
    let executor = match ::slave::executor_config(config) {
        Ok(config) => Executor::start(config).await,
        Err(error) => {
            return report.bad("backends", error.to_string(), "correct the file that SLAVE_BACKENDS names");
        }
    };
    // Backends that are not ready by then are reported with the state that they have.
    let _ = tokio::time::timeout(START_TIMEOUT, executor.settled()).await;
    for backend in executor.backend_states() {
        let name = &backend.name;
        match &backend.state {
            BackendState::Ready => {
                report.good("backend", format!("{name} is up: {}", backend.tools.join(", ")));
            }
            BackendState::Starting => report.bad(
                "backend",
                format!("{name} is not up after {} s", START_TIMEOUT.as_secs()),
                "run its command by hand: it must answer MCP on standard output",
            ),
            BackendState::Restarting { reason, .. } | BackendState::Failed { reason } => report.bad(
                "backend",
                format!("{name}: {reason}"),
                "run its command by hand, with the variables of its entry only, and see what it says",
            ),
            BackendState::Stopped => {
                report.bad("backend", format!("{name} stopped by itself"), "see the lines above");
            }
        }
    }
    if let Some(warning) = ::slave::missing_pilot(config, &executor) {
        report.warn("backend", warning);
    }
    let names: Vec<String> = executor.catalog().borrow().tools.iter().map(|tool| tool.name.clone()).collect();
    if names.is_empty() {
        report.bad(
            "tools",
            "no backend brings a tool",
            "set SLAVE_BACKENDS to an mcpServers file, install mr-pilot (or set MR_PILOT_COMMAND to its path), or set DEMO_TOOLS=1",
        );
    } else {
        report.good("tools", format!("{}: {}", names.len(), names.join(", ")));
    }
    executor.shutdown(STOP_TIMEOUT).await;
}
