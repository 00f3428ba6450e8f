//! How a measured binary is started: as it is, or under callgrind, which counts its instructions. Knows no protocol.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::error::{BenchError, Doing, Result};
use crate::process::Process;

/// A binary to be started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program<'a> {
    binary: &'a Path,
    counter: Option<&'a Counter>,
}

impl<'a> Program<'a> {
    /// The binary as it is.
    pub(crate) fn plain(binary: &'a Path) -> Self {
        Self { binary, counter: None }
    }

    /// The binary under callgrind.
    pub(crate) fn counted(binary: &'a Path, counter: &'a Counter) -> Self {
        Self { binary, counter: Some(counter) }
    }

    /// A command of the binary with PATH as its only variable of the caller.
    pub(crate) fn command(self) -> Command {
        let mut command = match self.counter {
            None => Command::new(self.binary),
            Some(counter) => counter.command(self.binary),
        };
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }
}

/// Counts the instructions of one process with callgrind: in user space, all threads together. The numbers hardly depend on the machine
/// and on what else it does.
#[derive(Debug)]
pub(crate) struct Counter {
    folder: TempDir,
}

impl Counter {
    /// A counter for one process to be started.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir().doing("making a temporary directory")? })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, binary: &Path) -> Command {
        let mut command = Command::new("valgrind");
        command.args(["-q", "--tool=callgrind"]);
        command.arg(format!("--callgrind-out-file={}", self.file("counts").display()));
        command.arg(format!("--vgdb-prefix={}", self.file("vgdb").display()));
        command.arg(binary);
        command
    }

    /// Counts from now on.
    pub(crate) fn reset(&self, process: &Process) -> Result<()> {
        self.say("zero", process)
    }

    /// Returns the instructions since the last [`Self::reset`] or [`Self::take`].
    pub(crate) fn take(&self, process: &Process) -> Result<u64> {
        self.say("dump", process)?;
        let mut newest: Vec<PathBuf> = fs::read_dir(self.folder.path())
            .doing("listing callgrind's files")?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("counts")))
            .collect();
        newest.sort_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok());
        let file = newest.pop().ok_or_else(|| BenchError::Process("callgrind wrote no counts".into()))?;
        let text = fs::read_to_string(file).doing("reading callgrind's counts")?;
        total(&text).ok_or_else(|| BenchError::Process("callgrind's counts have no total".into()))
    }

    fn say(&self, what: &str, process: &Process) -> Result<()> {
        let mut command = Command::new("vgdb");
        command.arg(format!("--vgdb-prefix={}", self.file("vgdb").display()));
        command.arg(format!("--pid={}", process.id())).arg(what).stdin(Stdio::null());
        let output = command.output().doing("running vgdb, a part of valgrind")?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(BenchError::Process(format!("callgrind does not {what}: {words}")))
    }
}

/// Reads the number of instructions of a file of callgrind.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals: "))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_that_of_all_functions() {
        assert_eq!(total("version: 1\nsummary: 7\n\nfn=(1)\n0 5\n\ntotals: 1234 5\n"), Some(1234));
        assert_eq!(total("version: 1\nfn=(1)\n0 5\n"), None);
    }
}
