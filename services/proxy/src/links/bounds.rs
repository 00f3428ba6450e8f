//! Reports of what a slave's code does not allow it: announced labels, weight and capacity, and tools. Each is logged and audited once,
//! when it changes. Must not know links or sockets.

use parking_lot::Mutex;
use runtime::audit::{self, AuditLine};

use crate::access::{Grant, ToolDenied};
use crate::metrics;

/// A tool of a slave that is not offered to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// The slave's name of the tool.
    pub(crate) tool: String,
    /// Why it is left out.
    pub(crate) why: ToolDenied,
}

/// What was reported of a slave last.
#[derive(Default)]
pub(super) struct BoundsReport {
    beyond: Mutex<Vec<String>>,
    left_out: Mutex<Vec<LeftOut>>,
}

impl BoundsReport {
    /// Returns what the slave announced beyond what its code allows, in words.
    pub(super) fn beyond(&self) -> Vec<String> {
        self.beyond.lock().clone()
    }

    /// Returns the tools that are left out.
    pub(super) fn left_out(&self) -> Vec<LeftOut> {
        self.left_out.lock().clone()
    }

    /// Records a new grant of the slave with this name.
    pub(super) fn on_grant(&self, slave: &str, grant: &Grant) {
        if !is_new(&self.beyond, grant.beyond.clone()) {
            return;
        }
        let identity = grant.identity();
        tracing::warn!(slave, %identity, beyond = ?grant.beyond, "Slave announces more than its code allows");
        if audit::is_on() {
            let line = AuditLine::new("announcement_cut")
                .with("slave", slave)
                .with("code", identity.to_string())
                .with("key_id", grant.key_id())
                .with("detail", grant.beyond.join("; "));
            audit::write_line(line);
        }
    }

    /// Records which tools of the slave with this name are left out.
    pub(super) fn on_left_out(&self, slave: &str, grant: &Grant, left_out: Vec<LeftOut>) {
        for why in ToolDenied::ALL {
            let tools = left_out.iter().filter(|tool| tool.why == why).count();
            metrics::set_tools_left_out(slave, why.label(), tools);
        }
        if !is_new(&self.left_out, left_out.clone()) {
            return;
        }
        for why in ToolDenied::ALL {
            let tools: Vec<&str> =
                left_out.iter().filter(|tool| tool.why == why).map(|tool| tool.tool.as_str()).collect();
            if !tools.is_empty() {
                log_left_out(slave, why, &tools);
                audit_left_out(slave, grant, why, &tools);
            }
        }
    }
}

/// Stores a report. Returns whether it says anything that the one before did not.
fn is_new<T: PartialEq>(known: &Mutex<Vec<T>>, report: Vec<T>) -> bool {
    let mut known = known.lock();
    let is_new = !report.is_empty() && *known != report;
    *known = report;
    is_new
}

fn log_left_out(slave: &str, why: ToolDenied, tools: &[&str]) {
    match why {
        ToolDenied::NotAllowed => {
            tracing::warn!(slave, ?tools, "Slave's code does not allow these tools: they are left out");
        }
        ToolDenied::OtherDefinition => {
            tracing::warn!(
                slave,
                ?tools,
                "Slave's definitions are not those that its code pins: the tools are left out"
            );
        }
    }
}

fn audit_left_out(slave: &str, grant: &Grant, why: ToolDenied, tools: &[&str]) {
    if audit::is_on() {
        let line = AuditLine::new("tools_left_out")
            .with("slave", slave)
            .with("code", grant.identity().to_string())
            .with("key_id", grant.key_id())
            .with("reason", why.label())
            .with("tools", tools.join(", "));
        audit::write_line(line);
    }
}
