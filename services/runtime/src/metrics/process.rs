//! Series of this process and of the async runtime as exposition text, and the build that runs. Must not know services.
//!
//! `metrics-process` reads the values. The text is written here, as CPU seconds are a counter with a fraction, and
//! counters of the recorder hold whole numbers only. A value that cannot be read is left out.

use std::fmt::Write;

use metrics::Unit;
use metrics_process::collector::{self, Metrics as ProcessMetrics};
use tokio::runtime::{Handle, RuntimeMetrics};

use super::table::{Label, Metric};
use crate::build_info::{PROFILE, REVISION, VERSION};

/// Every series of a process. The names are those of Prometheus's own clients where these have one.
pub const METRICS: &[Metric] = &[
    BUILD,
    Metric::counter("process_cpu_seconds_total", &[], "User and system CPU time in seconds.")
        .in_unit(Unit::Seconds),
    Metric::gauge("process_resident_memory_bytes", &[], "Resident memory in bytes.").in_unit(Unit::Bytes),
    Metric::gauge("process_virtual_memory_bytes", &[], "Virtual memory in bytes.").in_unit(Unit::Bytes),
    Metric::gauge("process_open_fds", &[], "Open file descriptors."),
    Metric::gauge("process_max_fds", &[], "File descriptors that may be open (soft limit)."),
    Metric::gauge("process_threads", &[], "Threads."),
    Metric::gauge("process_start_time_seconds", &[], "Unix time at which the process started.")
        .in_unit(Unit::Seconds),
    Metric::gauge("tokio_alive_tasks", &[], "Tasks alive in the async runtime."),
    Metric::gauge("tokio_workers", &[], "Worker threads of the async runtime."),
    Metric::gauge(
        "tokio_global_queue_depth",
        &[],
        "Tasks that wait in the async runtime's global queue for a worker.",
    ),
    Metric::counter(
        "tokio_worker_busy_seconds_total",
        &[],
        "Time that the async runtime's workers were busy, all of them together.",
    )
    .in_unit(Unit::Seconds),
];

const BUILD: Metric = Metric::gauge(
    "mcp_relay_build_info",
    &[Label::open("version"), Label::open("revision"), Label::open("profile"), Label::open("role")],
    "Always 1. Which program runs: version, source revision (MCP_RELAY_REVISION of the build, else unknown), build profile, and its role (proxy, slave, standalone).",
);

/// Number of series behind [`BUILD`].
const VALUES: usize = 11;

/// Records which program runs.
pub(super) fn announce(role: &'static str) {
    let labels = [("version", VERSION), ("revision", REVISION), ("profile", PROFILE), ("role", role)];
    metrics::describe_gauge!(BUILD.name, BUILD.unit, BUILD.help);
    metrics::gauge!(BUILD.name, &labels).set(1);
}

/// Renders all series with their current values.
pub(super) fn render() -> String {
    let mut text = String::new();
    for (Metric { name, kind, help, .. }, value) in METRICS.iter().skip(1).zip(values()) {
        if let Some(value) = value {
            let kind = kind.name();
            // Writing to a String cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
        }
    }
    text
}

/// Reads the values, in the order of [`METRICS`] behind [`BUILD`].
fn values() -> [Option<f64>; VALUES] {
    let process: ProcessMetrics = collector::collect();
    let tokio = Handle::try_current().ok().map(|handle| handle.metrics());
    let number = |value: Option<u64>| value.map(|value| value as f64);
    let of_tokio = |read: fn(&RuntimeMetrics) -> f64| tokio.as_ref().map(read);
    [
        process.cpu_seconds_total,
        number(process.resident_memory_bytes),
        number(process.virtual_memory_bytes),
        number(process.open_fds),
        // 0 stands for "unlimited", which has no number.
        number(process.max_fds.filter(|limit| *limit > 0)),
        number(process.threads),
        number(process.start_time_seconds),
        of_tokio(|metrics| metrics.num_alive_tasks() as f64),
        of_tokio(|metrics| metrics.num_workers() as f64),
        of_tokio(|metrics| metrics.global_queue_depth() as f64),
        of_tokio(busy_seconds),
    ]
}

fn busy_seconds(metrics: &RuntimeMetrics) -> f64 {
    let busy = |worker| metrics.worker_total_busy_duration(worker).as_secs_f64();
    (0..metrics.num_workers()).map(busy).sum()
}

#[cfg(test)]
mod tests {
    use super::super::table::faults;
    use super::*;

    #[tokio::test]
    async fn every_value_is_rendered_with_its_type() {
        assert_eq!(faults(&[METRICS]), Vec::<String>::new());
        assert_eq!(METRICS.len(), VALUES + 1);
        let text = render();
        for Metric { name, kind, .. } in METRICS.iter().skip(1) {
            let kind = kind.name();
            // A container may have no limit of file descriptors.
            let may_lack = *name == "process_max_fds";
            let line = format!("# TYPE {name} {kind}\n{name} ");
            assert!(may_lack || text.contains(&line), "{name}:\n{text}");
        }
    }
}
