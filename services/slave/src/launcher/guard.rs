//! The guard: parent of a backend and subreaper of all that the backend starts. Ends all of it when told to, when the
//! backend ends, and when the slave dies; then exits as the backend did. Must not know the confinement.
//!
//! The slave's death is seen by the parent-death signal. That signal is also sent when only the *thread* of the slave ends
//! that started the guard: the guard then still has the same parent, and goes on. So it does not matter which thread starts
//! a backend. A pipe whose write end the slave holds would be as sturdy, but every descriptor besides the three standard
//! ones would have to be passed on by unsafe code, or be inheritable by whatever else the slave starts in that moment.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill, killpg, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stdin, dup2_stdout, getpgid, getpgrp, getppid};

use super::children;
use super::error::{LaunchError, step};
use super::plan::{CONFINED, CommandLine, OWN_PROGRAM, PROCESS_NAME, Plan, SUBCOMMAND};

/// Tells the guard to end everything at once. SIGTERM, SIGINT, SIGHUP and SIGQUIT end it politely.
pub(crate) const KILL_NOW: Signal = Signal::SIGUSR1;

/// The parent-death signal.
const PARENT_DIED: Signal = Signal::SIGUSR2;

/// Time between SIGTERM and SIGKILL when the guard is told to end.
const GRACE: Duration = Duration::from_secs(10);

/// Time between SIGTERM and SIGKILL when the slave has died.
const ORPHAN_GRACE: Duration = Duration::from_secs(1);

/// Time between SIGTERM and SIGKILL for what an ended backend left behind.
const LEFTOVER_GRACE: Duration = Duration::from_millis(300);

/// Time in which killed processes must be gone; then the guard gives up.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Time between two looks at children while they are killed.
const KILL_INTERVAL: Duration = Duration::from_millis(50);

/// How far the end has come.
enum Stage {
    Running,
    /// SIGTERM was sent.
    Ending {
        kill_at: Instant,
    },
    /// SIGKILL is sent to every child, until none is left.
    Killing {
        give_up_at: Instant,
    },
}

/// The guard of one backend.
struct Guard {
    signals: SignalFd,
    parent: Option<Pid>,
    backend: Pid,
    status: Option<WaitStatus>,
    stage: Stage,
    /// Children that got SIGTERM and are not reaped.
    told: HashSet<Pid>,
}

/// Starts the backend and stays until it and all that it started are gone.
pub(super) fn run(plan: Plan, command: CommandLine) -> Result<ExitCode, LaunchError> {
    let signals = block_signals()?;
    let parent = plan.parent.map(Pid::from_raw);
    prctl::set_child_subreaper(true).map_err(step("become a subreaper"))?;
    if let Some(parent) = parent {
        prctl::set_pdeathsig(PARENT_DIED).map_err(step("ask for the parent-death signal"))?;
        if getppid() != parent {
            return Err(LaunchError::NoParent);
        }
    }
    let backend = start(plan, command)?;
    // The guard ends by the backend's signal. A core of its own then would only be in the way.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let mut guard =
        Guard { signals, parent, backend, status: None, stage: Stage::Running, told: HashSet::new() };
    guard.watch();
    Ok(guard.exit())
}

/// Blocks the signals that the guard reads. The standard library unblocks them in children.
fn block_signals() -> Result<SignalFd, LaunchError> {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGCHLD,
        KILL_NOW,
        PARENT_DIED,
    ] {
        set.add(signal);
    }
    set.thread_block().map_err(step("block signals"))?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(step("read signals"))
}

/// Starts the confined stage, and closes the guard's own ends of the backend's pipes. Standard error stays open for the
/// guard's own lines.
fn start(plan: Plan, command: CommandLine) -> Result<Pid, LaunchError> {
    let io_step = |step| move |source| LaunchError::Step { step, source };
    let plan = serde_json::to_string(&Plan { parent: Some(Pid::this().as_raw()), ..plan })?;
    let mut confined = Command::new(OWN_PROGRAM);
    confined.arg0(PROCESS_NAME).args([SUBCOMMAND, CONFINED, &plan, "--"]);
    confined.arg(command.program).args(command.args);
    let child = confined.spawn().map_err(io_step("start itself again (is /proc mounted?)"))?;
    let null = File::options().read(true).write(true).open("/dev/null").map_err(io_step("open /dev/null"))?;
    dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).map_err(step("close its pipes"))?;
    // Process ids fit: the kernel's limit is 2^22.
    Ok(Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)))
}

impl Guard {
    /// Returns when no child is left, or killed ones do not go away.
    fn watch(&mut self) {
        while self.reap() {
            let now = Instant::now();
            match self.stage {
                Stage::Running => {}
                Stage::Ending { kill_at } if now >= kill_at => {
                    self.stage = Stage::Killing { give_up_at: now + KILL_TIMEOUT };
                    self.signal_children(Signal::SIGKILL);
                }
                Stage::Ending { .. } => self.signal_children(Signal::SIGTERM),
                Stage::Killing { give_up_at } if now >= give_up_at => return,
                Stage::Killing { .. } => self.signal_children(Signal::SIGKILL),
            }
            self.wait();
            self.read_signals();
        }
    }

    /// Takes the status of every child that has ended. Returns false if there is no child any more.
    fn reap(&mut self) -> bool {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => break,
                Ok(status) => self.note(status),
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
        if self.status.is_some() && matches!(self.stage, Stage::Running) {
            self.end_within(LEFTOVER_GRACE);
        }
        true
    }

    fn note(&mut self, status: WaitStatus) {
        let Some(pid) = status.pid() else { return };
        self.told.remove(&pid);
        if pid == self.backend {
            self.status = Some(status);
        }
    }

    /// Sends SIGTERM to the backend's group and all children, and begins the grace.
    fn end_within(&mut self, grace: Duration) {
        if matches!(self.stage, Stage::Running) {
            self.stage = Stage::Ending { kill_at: Instant::now() + grace };
            if leads_its_group() {
                // The guard is in the group and has the signal blocked.
                let _ = killpg(getpgrp(), Signal::SIGTERM);
                let in_group = |pid: &Pid| getpgid(Some(*pid)) == Ok(getpgrp());
                self.told.extend(children::of(Pid::this()).into_iter().filter(in_group));
            }
        }
    }

    /// Sends a signal to every child, SIGTERM only once to each. Descendants become children when their parents end: a
    /// child that is not reaped keeps its number, so no other process can be hit.
    fn signal_children(&mut self, signal: Signal) {
        for child in children::of(Pid::this()) {
            if signal == Signal::SIGKILL || self.told.insert(child) {
                let _ = kill(child, signal);
            }
        }
    }

    /// Waits for a signal or the time of the next step.
    fn wait(&self) {
        let timeout = match self.stage {
            Stage::Running => PollTimeout::NONE,
            Stage::Ending { kill_at } => {
                let left = kill_at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
            Stage::Killing { .. } => PollTimeout::try_from(KILL_INTERVAL).unwrap_or(PollTimeout::ZERO),
        };
        // An interrupted wait is followed by another look.
        let _ = poll(&mut [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)], timeout);
    }

    fn read_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            match i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()) {
                Some(KILL_NOW) => self.stage = Stage::Killing { give_up_at: Instant::now() + KILL_TIMEOUT },
                Some(PARENT_DIED) if self.parent.is_some_and(|parent| getppid() == parent) => {}
                Some(PARENT_DIED) => self.end_within(ORPHAN_GRACE),
                Some(Signal::SIGCHLD) | None => {}
                Some(_) => self.end_within(GRACE),
            }
        }
    }

    /// Returns the backend's exit code, or ends by its signal.
    fn exit(&self) -> ExitCode {
        match self.status {
            Some(WaitStatus::Exited(_, code)) => ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)),
            Some(WaitStatus::Signaled(_, signal, _)) => {
                let mut set = SigSet::empty();
                set.add(signal);
                let _ = set.thread_unblock().and_then(|()| raise(signal));
                // Only if the signal does not end the process.
                ExitCode::from(u8::try_from(128 + signal as i32).unwrap_or(1))
            }
            _ => ExitCode::FAILURE,
        }
    }
}

/// Returns whether the group was made for this guard: by hand it may run in the group of a shell's pipeline.
fn leads_its_group() -> bool {
    getpgrp() == Pid::this()
}
