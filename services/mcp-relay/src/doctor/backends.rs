//! Checks whether the backends of a slave start, and which tools they offer. Knows no proxy.

use std::time::Duration;

use ::slave::RunError;
use ::slave::backends::history::LogCapture;
use ::slave::backends::stdio::{ChildOwner, ChildRules, Sharing, StdioServer};
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

/// A file whose entries are backends or tools.
#[derive(Clone, Copy)]
struct File {
    /// Where a problem is reported.
    subject: &'static str,
    variable: &'static str,
}

const BACKENDS: File = File { subject: "backends", variable: "SLAVE_BACKENDS" };
const TOOLS: File = File { subject: "tools", variable: "SLAVE_TOOLS" };

/// Reports what is wrong with the files of `SLAVE_BACKENDS` and `SLAVE_TOOLS` where other variables cannot be used: all is
/// corrected in one go.
pub(super) fn examine_file(report: &mut Report, snapshot: &Snapshot) {
    match ::slave::backends_file_of(snapshot) {
        None => {}
        Some(Ok(file)) => {
            all_entries(report, BACKENDS, file.problems, file.warnings);
            sharing(report, &file.servers);
        }
        Some(Err(error)) => unusable(report, BACKENDS, &error.to_string()),
    }
    match ::slave::tools_file_of(snapshot) {
        None => {}
        Some(Ok(file)) => all_entries(report, TOOLS, file.problems, file.warnings),
        Some(Err(error)) => unusable(report, TOOLS, &error.to_string()),
    }
}

/// Starts the backends as the slave would, reports their states, and stops them again. `is_served`: a server of this
/// configuration runs already and is ready, so it has backends, whether this environment names them or not.
pub(super) async fn examine(report: &mut Report, config: &SlaveConfig, is_served: bool) {
    if let Ok(file) = ::slave::backends_file(config) {
        entries(report, BACKENDS, file.problems, file.warnings);
        sharing(report, &file.servers);
    }
    if let Ok(file) = ::slave::tools_file(config) {
        entries(report, TOOLS, file.problems, file.warnings);
    }
    let executor = match ::slave::executor_config(config) {
        // The lines are shown whatever the slave itself keeps of them.
        Ok(config) => Executor::start(ExecutorConfig { log_capture: LogCapture::LastLines, ..config }).await,
        Err(error) => {
            let file = if matches!(error, RunError::Tools(_)) { TOOLS } else { BACKENDS };
            return unusable(report, file, &error.to_string());
        }
    };
    settle(report, &executor).await;
    for (backend, evidence) in executor.evidence() {
        state(report, &backend, &evidence);
    }
    if let Some(warning) = ::slave::missing_pilot(config, &executor) {
        report.warn("backend", warning);
    }
    tools(report, &executor, is_served);
    executor.shutdown(STOP_TIMEOUT).await;
}

fn all_entries(report: &mut Report, file: File, problems: Vec<String>, warnings: Vec<String>) {
    if problems.is_empty() && warnings.is_empty() {
        return report.good(file.subject, "every entry of the file can be used");
    }
    entries(report, file, problems, warnings);
}

fn entries(report: &mut Report, file: File, problems: Vec<String>, warnings: Vec<String>) {
    for problem in problems {
        let fix = format!("correct the entry in the file that {} names", file.variable);
        report.bad(file.subject, format!("{problem}; the slave leaves the entry out"), fix);
    }
    for warning in warnings {
        report.warn(file.subject, warning);
    }
}

/// Notes which entries run processes for their sessions or clients.
fn sharing(report: &mut Report, servers: &[StdioServer]) {
    for server in servers {
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

fn unusable(report: &mut Report, file: File, error: &str) {
    report.bad(file.subject, error.to_owned(), format!("correct the file that {} names", file.variable));
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

fn tools(report: &mut Report, executor: &Executor, is_served: bool) {
    let names: Vec<String> = executor.catalog().borrow().tools.iter().map(|tool| tool.name.clone()).collect();
    if names.is_empty() && is_served && executor.backend_states().is_empty() {
        let text = "this environment names no backend; those of the running server were named on its command line (mcp-relay up, mcp-relay share)";
        report.note("tools", text);
    } else if names.is_empty() {
        report.bad(
            "tools",
            "no backend brings a tool",
            "set SLAVE_BACKENDS to an mcpServers file or SLAVE_TOOLS to a file of commands, install mr-pilot (or set MR_PILOT_COMMAND to its path), or set DEMO_TOOLS=1",
        );
    } else {
        report.good("tools", format!("{}: {}", names.len(), names.join(", ")));
    }
}
