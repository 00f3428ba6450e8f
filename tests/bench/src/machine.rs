//! Facts about the machine and the programs that numbers depend on. No host names, no paths.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::error::{BenchError, Result};
use crate::{nginx, tunnel};

/// The facts as a Markdown list.
pub(crate) fn facts() -> String {
    let mut out = String::new();
    let mut fact = |name: &str, value: &str| {
        let _ = writeln!(out, "- {name}: {value}");
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    fact("CPU", &field(&cpuinfo, "model name"));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    fact("cores", &cores.to_string());
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = field(&meminfo, "MemTotal").trim_end_matches(" kB").parse::<u64>().unwrap_or(0);
    fact("memory", &format!("{} MiB", kilobytes / 1024));
    fact("kernel", fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    fact("load before the run (1 minute)", load.split(' ').next().unwrap_or("unknown"));
    fact("rustc", &output("rustc", &["--version"]));
    fact("nginx", &nginx::version());
    fact("wstunnel", &tunnel::version());
    fact("mcp-relay", &commit());
    out
}

/// Short commit, and whether the tree differs from it (but for the report itself).
fn commit() -> String {
    let commit = output("git", &["rev-parse", "--short", "HEAD"]);
    let changes =
        output("git", &["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/BENCHMARKS.md"]);
    if changes.is_empty() { commit } else { format!("{commit} with changes") }
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':'))
        .map_or_else(|| "unknown".to_owned(), |(_, v)| v.trim().to_owned())
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// Both ends of links are sockets of processes that inherit this limit: one each, and some for the rest.
pub(crate) fn raise_file_limit(wanted: u64) -> Result<()> {
    let fail =
        |error: nix::errno::Errno| BenchError::Process(format!("raising the limit of open files: {error}"));
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(fail)?;
    if hard < wanted {
        let what = format!(
            "{wanted} open files are needed, and this user may have {hard}: raise the hard limit (ulimit -Hn) and run again"
        );
        return Err(BenchError::Process(what));
    }
    if soft >= wanted {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_proc_writes_them() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nMemTotal:       100 kB\n";
        assert_eq!(field(text, "model name"), "A CPU @ 2 GHz");
        assert_eq!(field(text, "MemTotal"), "100 kB");
        assert_eq!(field(text, "flags"), "unknown");
    }
}
