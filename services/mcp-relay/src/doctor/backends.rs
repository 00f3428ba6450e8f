//! Checks whether the backends of a slave start, and which tools they offer. Knows no proxy.

use std::time::Duration;

use ::slave::backends::history::LogCapture;
use ::slave::backends::servers_file::{ServersFile, ServersFileError};
use ::slave::backends::stdio::{ChildOwner, ChildRules, Sharing};
use ::slave::config::SlaveConfig;
use ::slave::executor::{BackendSnapshot, BackendState, Evidence, Executor, ExecutorConfig};
use runtime::env::Snapshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::report::Report;

/// Longest time that all backends together may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Time between two lines about backends that are still starting.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Longest time that the backends may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Most lines of a backend's standard error that are shown.
const MAX_LINES: usize = 5;

/// Reports what is wrong with the file of `SLAVE_BACKENDS` where other variables cannot be used: both are corrected in one go.
pub(super) fn examine_file(report: &mut Report, snapshot: &Snapshot) {
    match ::slave::backends_file_of(snapshot) {
        None => {}
        Some(Ok(file)) if file.problems.is_empty() && file.warnings.is_empty() => {
            report.good("backends", "every entry of the file can be used");
        }
        Some(Ok(file)) => entries(report, file),
        Some(Err(error)) => unusable(report, &error),
    }
}

/// Starts the backends as the slave would, reports their states, and stops them again.
pub(super) async fn examine(report: &mut Report, config: &SlaveConfig) {
    if let Ok(file) = ::slave::backends_file(config) {
        entries(report, file);
    }
    let executor = match ::slave::executor_config(config) {
        // The lines are shown whatever the slave itself keeps of them.
        Ok(config) => Executor::start(ExecutorConfig { log_capture: LogCapture::LastLines, ..config }).await,
        Err(error) => return unusable(report, &error),
    };
    settle(report, &executor).await;
    for (backend, evidence) in executor.evidence() {
        state(report, &backend, &evidence);
    }
    if let Some(warning) = ::slave::missing_pilot(config, &executor) {
        report.warn("backend", warning);
    }
    tools(report, &executor);
    executor.shutdown(STOP_TIMEOUT).await;
}

fn entries(report: &mut Report, file: ServersFile) {
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
    for server in file.servers {
        if let Sharing::Apart(rules) = server.sharing {
            report.note("backends", own_processes(&server.name, rules));
        }
    }
}

/// Says how many processes an entry may have.
fn own_processes(name: &str, rules: ChildRules) -> String {
    let ChildRules { owner, most, idle } = rules;
    let whom = match owner {
        ChildOwner::Session => "session",
        ChildOwner::Client => "client",
    };
    format!(
        "{name} runs a process for each {whom}, at most {most} beside its first one (maxChildren), each until {idle:?} after its last call (idle)"
    )
}

fn unusable(report: &mut Report, error: &ServersFileError) {
    report.bad("backends", error.to_string(), "correct the file that SLAVE_BACKENDS names");
}

/// Waits until no backend is starting any more, and says from time to time which ones are. Backends that are not ready after
/// [`START_TIMEOUT`] are reported with the state that they have.
async fn settle(report: &Report, executor: &Executor) {
    let deadline = Instant::now() + START_TIMEOUT;
    let waiting = async {
        while timeout(PROGRESS_INTERVAL, executor.settled()).await.is_err() {
            let backends = executor.backend_states().into_iter();
            let starting = backends.filter(|backend| backend.state == BackendState::Starting);
            let names: Vec<String> = starting.map(|backend| backend.name).collect();
            let left = deadline.saturating_duration_since(Instant::now()).as_secs();
            report.progress("backend", &format!("still starting: {} ({left} s left)", names.join(", ")));
        }
    };
    let _ = timeout_at(deadline, waiting).await;
}

fn state(report: &mut Report, backend: &BackendSnapshot, evidence: &Evidence) {
    let name = &backend.name;
    let (what, fix) = match &backend.state {
        BackendState::Ready => {
            report.good("backend", format!("{name} is up: {}", backend.tools.join(", ")));
            if let Some(fault) = &evidence.line_fault {
                report.warn("backend", format!("{name}: {fault}"));
            }
            return;
        }
        BackendState::Starting => (
            format!("{name} is not up after {} s", START_TIMEOUT.as_secs()),
            "run its command by hand: it must answer MCP on standard output",
        ),
        BackendState::Restarting { reason, .. } | BackendState::Failed { reason } => (
            format!("{name}: {reason}"),
            "run its command by hand, with the variables of its entry only, and see what it says",
        ),
        BackendState::Stopped => (format!("{name} stopped by itself"), "see the lines above"),
    };
    report.bad("backend", what, fix);
    if let Some(fault) = &evidence.line_fault {
        report.note("backend", format!("{name}, standard output: {fault}"));
    }
    for line in evidence.lines.iter().skip(evidence.lines.len().saturating_sub(MAX_LINES)) {
        report.note("backend", format!("{name}, standard error: {line}"));
    }
}

fn tools(report: &mut Report, executor: &Executor) {
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
}
