//! Facts of this process from `/proc` and from tokio, as exposition text, and what it was built from.
//!
//! Written by hand because CPU seconds are a counter with a fraction, which the recorder's whole-number counters
//! cannot hold. What cannot be read (no `/proc`, no runtime) is left out.

use std::fmt::Write;

use metrics::Unit;
use tokio::runtime::{Handle, RuntimeMetrics};

use super::table::{Label, Metric};

/// How one fact is read.
type Read = fn() -> Option<f64>;

/// Every fact of a process, as a declared series. The names are those of Prometheus's own clients where they have one.
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
    "Always 1. Which program runs: version, source revision (MCP_RELAY_REVISION of the build, else unknown), build profile, and as what (proxy, slave, standalone).",
);

/// In the order of [`METRICS`] behind [`BUILD`].
const READS: [Read; 11] = [
    || cpu_seconds(&proc_file("stat")?),
    || kilobytes(&proc_file("status")?, "VmRSS:"),
    || kilobytes(&proc_file("status")?, "VmSize:"),
    || Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as f64),
    || max_fds(&proc_file("limits")?),
    || number(&proc_file("status")?, "Threads:"),
    || start_seconds(&proc_file("stat")?, &std::fs::read_to_string("/proc/stat").ok()?),
    || Some(tokio_metrics()?.num_alive_tasks() as f64),
    || Some(tokio_metrics()?.num_workers() as f64),
    || Some(tokio_metrics()?.global_queue_depth() as f64),
    || {
        let metrics = tokio_metrics()?;
        let busy = |worker| metrics.worker_total_busy_duration(worker).as_secs_f64();
        Some((0..metrics.num_workers()).map(busy).sum())
    },
];

/// Clock ticks a second in `/proc/<pid>/stat`: `USER_HZ`, 100 on every architecture Linux runs on today.
const TICKS: f64 = 100.0;

/// Says which program this is.
pub(super) fn announce(role: &'static str) {
    let revision = option_env!("MCP_RELAY_REVISION").unwrap_or("unknown");
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("revision", revision),
        ("profile", profile),
        ("role", role),
    ];
    metrics::describe_gauge!(BUILD.name, BUILD.unit, BUILD.help);
    metrics::gauge!(BUILD.name, &labels).set(1);
}

/// All facts as of now.
pub(super) fn render() -> String {
    let mut text = String::new();
    for (Metric { name, kind, help, .. }, read) in METRICS.iter().skip(1).zip(READS) {
        if let Some(value) = read() {
            let kind = kind.name();
            // Writing to a String cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
        }
    }
    text
}

fn tokio_metrics() -> Option<RuntimeMetrics> {
    Some(Handle::try_current().ok()?.metrics())
}

fn proc_file(name: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/self/{name}")).ok()
}

/// The fields of `/proc/<pid>/stat` behind the command's closing parenthesis: the first is number 3 (proc(5)).
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let field = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(number - 3)?;
    field.parse::<u64>().ok().map(|value| value as f64)
}

/// Fields 14 and 15: user and system ticks.
fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((stat_field(stat, 14)? + stat_field(stat, 15)?) / TICKS)
}

/// Field 22: ticks between the machine's start (`btime` of `/proc/stat`) and the process's.
fn start_seconds(stat: &str, machine: &str) -> Option<f64> {
    Some(number(machine, "btime")? + stat_field(stat, 22)? / TICKS)
}

/// `VmRSS:   1234 kB`.
fn kilobytes(status: &str, name: &str) -> Option<f64> {
    Some(number(status, name)? * 1024.0)
}

/// The number behind this name at the beginning of a line.
fn number(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|value| value as f64)
}

/// `Max open files            1024                 524288               files`; unlimited ones are left out.
fn max_fds(limits: &str) -> Option<f64> {
    number(limits, "Max open files")
}

#[cfg(test)]
mod tests {
    use super::super::table::faults;
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let stat = "1 (a) b) S 0 1 1 0 -1 4194560 5 6 7 8 150 50 0 0 20 0 1 0 500 1000 200";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("nonsense"), None);
        assert_eq!(start_seconds(stat, "cpu 1 2\nbtime 1000\n"), Some(1005.0));
        assert_eq!(kilobytes("Name:\tx\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2_097_152.0));
        assert_eq!(kilobytes("Name:\tx\n", "VmRSS:"), None);
        assert_eq!(
            max_fds("Max open files            1024                 524288               files\n"),
            Some(1024.0)
        );
        assert_eq!(
            max_fds("Max open files            unlimited            unlimited            files\n"),
            None
        );
    }

    #[tokio::test]
    async fn every_fact_is_rendered_with_its_type() {
        assert_eq!(faults(&[METRICS]), Vec::<String>::new());
        assert_eq!(METRICS.len(), READS.len() + 1);
        let text = render();
        for Metric { name, kind, .. } in METRICS.iter().skip(1) {
            let kind = kind.name();
            assert!(text.contains(&format!("# TYPE {name} {kind}\n{name} ")), "{name}:\n{text}");
        }
    }
}
