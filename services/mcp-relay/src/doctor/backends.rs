//! Whether a slave's backends start, and which tools they bring.

use std::time::Duration;

use ::slave::config::SlaveConfig;
use ::slave::executor::{BackendState, Executor};

use super::report::Report;

/// Most that all backends together may take to start.
const START: Duration = Duration::from_secs(30);

/// Most that they may take to end.
const END: Duration = Duration::from_secs(3);

/// Starts them as the slave would, looks, and stops them again.
pub(super) async fn examine(report: &mut Report, config: &SlaveConfig) {
    let executor = match ::slave::executor_config(config) {
        Ok(config) => Executor::start(config).await,
        Err(error) => {
            return report.bad("backends", error.to_string(), "correct the file that SLAVE_BACKENDS names");
        }
    };
    // Those that are not up by then are reported as they are.
    let _ = tokio::time::timeout(START, executor.settled()).await;
    for backend in executor.backend_states() {
        let name = &backend.name;
        match &backend.state {
            BackendState::Ready => {
                report.good("backend", format!("{name} is up: {}", backend.tools.join(", ")))
            }
            BackendState::Starting => report.bad(
                "backend",
                format!("{name} is not up after {} s", START.as_secs()),
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
    let names: Vec<String> = executor.catalog().borrow().tools.iter().map(|tool| tool.name.clone()).collect();
    if names.is_empty() {
        report.bad(
            "tools",
            "no backend brings a tool",
            "set SLAVE_BACKENDS to an mcpServers file, install mr-pilot (or set MR_PILOT_COMMAND), or set DEMO_TOOLS=1",
        );
    } else {
        report.good("tools", format!("{}: {}", names.len(), names.join(", ")));
    }
    executor.shutdown(END).await;
}
