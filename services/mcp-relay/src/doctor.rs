//! `mcp-relay doctor`: what a start would need, step by step, with what to fix. Changes nothing.

mod backends;
mod certificate;
mod link;
mod port;
mod proxy;
mod report;
mod slave;

use ::slave::config::Role;
use runtime::env::{Problems, Snapshot, misspelt};

use crate::cli::Subject;
use crate::mode::Mode;
use crate::reference::TABLES;
pub(crate) use report::{Format, Report};

/// Runs every check that can be run. `subject`: what to look at; by default what the environment says.
pub(crate) async fn examine(subject: Option<Subject>, snapshot: &Snapshot, format: Format) -> Report {
    let chosen = match subject {
        Some(Subject::Proxy) => Ok(Mode::Proxy),
        Some(Subject::Slave) => Ok(Mode::Slave),
        Some(Subject::Standalone) => Ok(Mode::Standalone),
        None => Mode::of(snapshot),
    };
    match chosen {
        Ok(mode) => {
            let mut report = Report::new(mode.name(), format);
            match mode {
                Mode::Proxy => proxy::examine(&mut report, snapshot).await,
                Mode::Slave => slave::examine(&mut report, snapshot, Role::Slave).await,
                Mode::Standalone => slave::examine(&mut report, snapshot, Role::Standalone).await,
            }
            report
        }
        Err(problems) => {
            let mut report = Report::new("unknown mode", format);
            refuse(&mut report, &problems);
            report
        }
    }
}

/// Every problem of the configuration as a failed step.
fn refuse(report: &mut Report, problems: &Problems) {
    for problem in &problems.list {
        let fix = format!("set it to {}; mcp-relay --env-help explains it", problem.expected);
        report.bad("configuration", format!("{} {}", problem.name, problem.shown), fix);
    }
    report.skipped("everything else", "the configuration cannot be used yet");
}

/// What is allowed but probably not meant.
fn warn(report: &mut Report, warnings: &[String], snapshot: &Snapshot) {
    for warning in warnings.iter().cloned().chain(misspelt(snapshot, &TABLES)) {
        report.note("configuration", warning);
    }
}
