//! Child processes under measurement: started, watched through /proc, ended. Linux only; knows no protocol.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{BenchError, Doing, Result};

/// Microseconds in one unit of `utime` and `stime` (`USER_HZ` is 100 on every Linux).
const TICK_MICROS: u64 = 10_000;

/// Longest time that a process may take to start or to end.
const PROCESS_TIMEOUT: Duration = Duration::from_mins(1);

/// A child process with its output in a file. Dropping it stops the process.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// At present.
    pub(crate) resident: u64,
    /// The most since the start or the last [`Process::forget_peak`].
    pub(crate) peak: u64,
}

impl Process {
    /// Starts a command with both outputs in `log`.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: PathBuf) -> Result<Self> {
        let out = File::create(&log).doing("creating a log file")?;
        let both = out.try_clone().doing("creating a log file")?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(both).spawn();
        Ok(Self { child: child.doing(&format!("starting {name}"))?, name, log })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Interrupts the process (SIGINT) and waits for its end.
    pub(crate) fn interrupt(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).unwrap_or_default();
        kill(Pid::from_raw(pid), Signal::SIGINT)
            .map_err(std::io::Error::from)
            .doing("interrupting a child")?;
        self.child.wait().doing("waiting for a child").map(drop)
    }

    /// Kills the process and waits for its end.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().doing("killing a child")?;
        self.child.wait().doing("waiting for a child").map(drop)
    }

    /// Waits for a line that contains `phrase` and returns the rest of the line.
    pub(crate) fn wait_for(&mut self, phrase: &str) -> Result<String> {
        let deadline = Instant::now() + PROCESS_TIMEOUT;
        loop {
            let log = fs::read_to_string(&self.log).doing("reading a log file")?;
            // The last line may be incomplete.
            let whole = log.rfind('\n').map_or("", |end| &log[..end]);
            if let Some(rest) = whole.lines().find_map(|line| Some(line.split_once(phrase)?.1)) {
                return Ok(rest.to_owned());
            }
            let tail = log.lines().rev().take(5).collect::<Vec<_>>().join(" | ");
            if let Some(status) = self.child.try_wait().doing("waiting for a child")? {
                return Err(BenchError::Process(format!("{} ended early ({status}): {tail}", self.name)));
            }
            if Instant::now() > deadline {
                let what = format!("{} logging {phrase:?}", self.name);
                return Err(BenchError::TooLate {
                    what,
                    within: PROCESS_TIMEOUT,
                    detail: format!("; its log: {tail}"),
                });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// CPU time of the process and its children of one level (nginx's workers), in microseconds, to 10 ms.
    pub(crate) fn cpu_micros(&self) -> Result<u64> {
        self.family()?.into_iter().map(|pid| Ok(stat(pid)?.cpu_micros)).sum()
    }

    /// CPU time of the process alone, in microseconds, to 10 ms.
    pub(crate) fn own_cpu_micros(&self) -> Result<u64> {
        Ok(stat(self.child.id())?.cpu_micros)
    }

    /// Resident memory of the process and its children of one level. Pages that they share count once for each.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let mut sum = Memory { resident: 0, peak: 0 };
        for pid in self.family()? {
            let status =
                fs::read_to_string(format!("/proc/{pid}/status")).doing("reading /proc/<pid>/status")?;
            sum.resident += kilobytes(&status, "VmRSS:") * 1024;
            sum.peak += kilobytes(&status, "VmHWM:") * 1024;
        }
        Ok(sum)
    }

    /// Resets [`Memory::peak`].
    pub(crate) fn forget_peak(&self) -> Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")
            .doing("resetting the peak of resident memory")
    }

    fn family(&self) -> Result<Vec<u32>> {
        let own = self.child.id();
        let mut family = vec![own];
        for entry in fs::read_dir("/proc").doing("listing /proc")? {
            let pid = entry.ok().and_then(|entry| entry.file_name().to_str()?.parse().ok());
            // A process that has just ended has no status.
            if let Some(pid) = pid
                && stat(pid).is_ok_and(|stat| stat.parent == own)
            {
                family.push(pid);
            }
        }
        Ok(family)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // SIGTERM first, so that nginx's master stops its workers.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    cpu_micros: u64,
}

fn stat(pid: u32) -> Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).doing("reading /proc/<pid>/stat")?;
    parse_stat(&text).ok_or_else(|| BenchError::Process(format!("unreadable /proc/{pid}/stat: {text}")))
}

/// proc(5): the second field is a name in parentheses that may itself contain any character.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let parent = u32::try_from(number(4)?).ok()?;
    Some(Stat { parent, cpu_micros: (number(14)? + number(15)?) * TICK_MICROS })
}

fn kilobytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_name() {
        let text = "42 (a ) b) S 7 42 42 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 3 0 1 2 3";
        assert_eq!(parse_stat(text), Some(Stat { parent: 7, cpu_micros: 420_000 }));
        assert_eq!(parse_stat("42 (a) S 7"), None);
        assert_eq!(kilobytes("Name:\ta\nVmHWM:\t  200 kB\nVmRSS:\t 100 kB\n", "VmRSS:"), 100);
    }

    #[test]
    fn a_child_s_output_and_time_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let script = "echo ready at x; while :; do :; done";
        let mut command = Command::new("sh");
        let mut process = Process::start("sh", command.args(["-c", script]), dir.path().join("log")).unwrap();
        assert_eq!(process.wait_for("ready at ").unwrap(), "x");
        let deadline = Instant::now() + PROCESS_TIMEOUT;
        while process.cpu_micros().unwrap() < 3 * TICK_MICROS {
            assert!(Instant::now() < deadline, "a busy loop uses CPU time");
            std::thread::yield_now();
        }
        let memory = process.memory().unwrap();
        assert!(memory.resident > 0 && memory.peak >= memory.resident);
        process.forget_peak().unwrap();
    }

    #[test]
    fn a_child_that_ends_early_is_reported_with_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let mut process =
            Process::start("sh", command.args(["-c", "echo no port; exit 3"]), dir.path().join("log"))
                .unwrap();
        let error = process.wait_for("ready").unwrap_err().to_string();
        assert!(error.contains("no port") && error.contains('3'), "{error}");
    }
}
