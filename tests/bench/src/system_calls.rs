//! System calls of a running process, counted by strace. Knows no protocol.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::error::{BenchError, Doing, Result};
use crate::process::Process;

/// Counts the system calls of a process until [`Trace::finish`].
#[derive(Debug)]
pub(crate) struct Trace {
    tracer: Process,
    table: PathBuf,
    _folder: TempDir,
}

impl Trace {
    /// Attaches to all threads of a process.
    pub(crate) fn attach(process: &Process) -> Result<Self> {
        let folder = tempfile::tempdir().doing("making a temporary directory")?;
        let table = folder.path().join("table");
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-o"]).arg(&table).arg("-p").arg(process.id().to_string());
        let mut tracer = Process::start("strace", &mut command, folder.path().join("strace.log"))?;
        tracer.wait_for(" attached")?;
        Ok(Self { tracer, table, _folder: folder })
    }

    /// Detaches and returns how often each call was made, the most frequent first.
    pub(crate) fn finish(self) -> Result<Vec<Calls>> {
        self.tracer.interrupt()?;
        let text = fs::read_to_string(&self.table).doing("reading strace's table")?;
        let mut calls: Vec<Calls> = text.lines().filter_map(Calls::parse).collect();
        if calls.is_empty() {
            return Err(BenchError::Process(format!("strace counted nothing: {text}")));
        }
        calls.sort_by_key(|calls| std::cmp::Reverse(calls.count));
        Ok(calls)
    }
}

/// One system call, and how often it was made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) name: String,
    pub(crate) count: u64,
}

impl Calls {
    /// Reads a line of strace's table: share, seconds, microseconds a call, calls, errors (may be empty), name.
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (name, count) = (fields.last()?, fields.get(3)?.parse().ok()?);
        let is_row = fields[0].parse::<f64>().is_ok() && *name != "total" && fields.len() >= 5;
        is_row.then(|| Self { name: (*name).to_owned(), count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_with_and_without_errors() {
        let calls = |name: &str, count| Some(Calls { name: name.to_owned(), count });
        assert_eq!(
            Calls::parse(" 63.64    0.000070           7        10         2 futex"),
            calls("futex", 10)
        );
        assert_eq!(
            Calls::parse(" 36.36    0.000040           4         9           recvfrom"),
            calls("recvfrom", 9)
        );
        for other in [
            "% time     seconds  usecs/call     calls    errors syscall",
            "------ ----------- ----------- --------- --------- ----------------",
            "100.00    0.000110           5        19         2 total",
            "",
        ] {
            assert_eq!(Calls::parse(other), None, "{other}");
        }
    }
}
