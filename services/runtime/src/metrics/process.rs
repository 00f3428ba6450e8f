//! Facts of this process from `/proc` and from tokio, as exposition text.
//!
//! Written by hand because CPU seconds are a counter with a fraction, which the recorder's whole-number counters
//! cannot hold. What cannot be read (no `/proc`, no runtime) is left out.

use std::fmt::Write;

/// One fact: name, type, help.
struct Fact {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    read: fn() -> Option<f64>,
}

const FACTS: [Fact; 4] = [
    Fact {
        name: "process_cpu_seconds_total",
        kind: "counter",
        help: "User and system CPU time of this process in seconds.",
        read: || cpu_seconds(&proc_file("stat")?),
    },
    Fact {
        name: "process_resident_memory_bytes",
        kind: "gauge",
        help: "Resident memory of this process in bytes.",
        read: || resident_bytes(&proc_file("status")?),
    },
    Fact {
        name: "process_open_fds",
        kind: "gauge",
        help: "Open file descriptors of this process.",
        read: || Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as f64),
    },
    Fact {
        name: "tokio_alive_tasks",
        kind: "gauge",
        help: "Tasks alive in the async runtime.",
        read: || Some(tokio::runtime::Handle::try_current().ok()?.metrics().num_alive_tasks() as f64),
    },
];

/// Clock ticks a second in `/proc/<pid>/stat`: `USER_HZ`, 100 on every architecture Linux runs on today.
const TICKS: f64 = 100.0;

/// All facts as of now.
pub(super) fn render() -> String {
    let mut text = String::new();
    for Fact { name, kind, help, read } in FACTS {
        if let Some(value) = read() {
            // Writing to a String cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
        }
    }
    text
}

fn proc_file(name: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/self/{name}")).ok()
}

/// Fields 14 and 15 (user and system ticks), counted after the command's closing parenthesis (proc(5)).
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS)
}

/// `VmRSS:   1234 kB`.
fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib * 1024) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let stat = "1 (a) b) S 0 1 1 0 -1 4194560 5 6 7 8 150 50 0 0 20 0 1 0 5 1000 200";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("nonsense"), None);
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }

    #[tokio::test]
    async fn every_fact_is_rendered_with_its_type() {
        let text = render();
        for Fact { name, kind, .. } in FACTS {
            assert!(text.contains(&format!("# TYPE {name} {kind}\n{name} ")), "{name}:\n{text}");
        }
    }
}
