//! Reports of names that are not shown as all their slaves wrote them: in the log, the audit stream and the metrics. Must not know pools.

use runtime::audit::{self, AuditLine};

use super::directory::Directory;
use super::listed::{Conflict, Provider};
use crate::metrics::{self, ToolCounts};

/// Reports what is new in a directory, and counts its tools.
pub(super) fn report(directory: &Directory, before: &Directory) {
    let listed = directory.listed();
    metrics::set_tools(ToolCounts {
        offered: listed.len(),
        renamed: listed.iter().filter(|tool| tool.name != tool.own_name).count(),
        conflicts: directory.conflicts().len(),
        refused: directory.conflicts().iter().map(|conflict| conflict.left_out.len()).sum(),
    });
    for conflict in directory.conflicts() {
        if !before.conflicts().contains(conflict) {
            log(conflict);
            audit_conflict(conflict);
        }
    }
}

fn log(conflict: &Conflict) {
    let name = conflict.name.as_str();
    let shown = if conflict.shown.is_empty() { "none".into() } else { conflict.shown.join(", ") };
    match (conflict.reason, &conflict.exclusive) {
        ("taken", _) => {
            let slaves = names(&conflict.left_out);
            tracing::warn!(tool = name, slaves, "A tool is left out: its name is another tool's shown name");
        }
        (_, Some(code)) => {
            tracing::warn!(tool = name, code, "A tool's name is another code's alone; clients see: {shown}");
        }
        _ => tracing::warn!(tool = name, "Slaves offer different tools under one name; clients see: {shown}"),
    }
}

fn audit_conflict(conflict: &Conflict) {
    if !audit::is_on() {
        return;
    }
    let line = AuditLine::new("tool_name")
        .with("tool", conflict.name.as_str())
        .with("reason", conflict.reason)
        .with("code", conflict.exclusive.as_deref().unwrap_or_default())
        .with("shown", conflict.shown.join(", "))
        .with("left_out", names(&conflict.left_out));
    audit::write_line(line);
}

/// Lists slaves with who they are by proof.
fn names(providers: &[Provider]) -> String {
    let names: Vec<String> =
        providers.iter().map(|provider| format!("{} ({})", provider.slave, provider.identity)).collect();
    names.join(", ")
}
