//! Problems and warnings of the configuration as findings of the doctor. Knows no mode.

use runtime::env::{Problems, Snapshot, misspelt};

use super::report::Report;
use crate::reference::TABLES;

/// Reports every problem of the configuration as a failed step.
pub(super) fn report_problems(report: &mut Report, problems: &Problems) {
    for problem in &problems.list {
        let fix = format!("set it to {}; mcp-relay --env-help explains it", problem.expected);
        report.bad("configuration", format!("{} {}", problem.name, problem.shown), fix);
    }
}

/// Reports that the steps that need a configuration were left out.
pub(super) fn skip_rest(report: &mut Report) {
    report.skipped("everything else", "the configuration cannot be used yet");
}

/// Reports that the mode follows from what only one subcommand reads.
pub(super) fn report_meant(report: &mut Report, mode: &str, variable: &str) {
    let text = format!(
        "{variable} is set and no mode is chosen: `mcp-relay {mode}` is checked (`mcp-relay` alone runs the standalone server)"
    );
    report.note("configuration", text);
}

/// Reports settings that are allowed but probably not meant.
pub(super) fn report_warnings(report: &mut Report, warnings: &[String], snapshot: &Snapshot) {
    for warning in warnings.iter().cloned().chain(misspelt(snapshot, &TABLES)) {
        report.warn("configuration", warning);
    }
}
