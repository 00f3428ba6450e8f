//! The processes of a backend: the one that was started and everything below it. Must not know what runs in them.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::Child;

use crate::launcher::{self, Launcher};

/// A process group led by a child that was started by a command of [`Launcher`]. Dropping it kills what is left, so that no
/// early return leaves an orphan.
pub(super) struct ProcessGroup {
    leader: Pid,
    kind: Leader,
}

/// The leader of a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leader {
    /// The backend itself: signals go to the group.
    Backend,
    /// The launcher, which passes signals on, also to processes that left the group.
    Launcher,
    /// Nobody: the group has ended.
    Gone,
}

impl ProcessGroup {
    /// Returns the group of a child that was just started; `None` if the child is reaped already.
    pub(super) fn of(child: &Child, launcher: &Launcher) -> Option<Self> {
        let kind = if *launcher == Launcher::Absent { Leader::Backend } else { Leader::Launcher };
        let leader = i32::try_from(child.id()?).ok()?;
        Some(Self { leader: Pid::from_raw(leader), kind })
    }

    /// Asks all processes to end (SIGTERM).
    pub(super) fn terminate(&self) {
        match self.kind {
            Leader::Backend => self.note(killpg(self.leader, Signal::SIGTERM)),
            Leader::Launcher => self.note(kill(self.leader, Signal::SIGTERM)),
            Leader::Gone => {}
        }
    }

    /// Kills all processes. A launcher does it and then ends by itself.
    pub(super) fn kill(&self) {
        match self.kind {
            Leader::Backend => self.note(killpg(self.leader, Signal::SIGKILL)),
            Leader::Launcher => self.note(kill(self.leader, launcher::KILL_NOW)),
            Leader::Gone => {}
        }
    }

    /// Kills the group with its leader: for a launcher that does not end by itself.
    pub(super) fn kill_leader(&self) {
        if self.kind != Leader::Gone {
            self.note(killpg(self.leader, Signal::SIGKILL));
        }
    }

    /// Kills what is left of the group after its leader was waited for.
    ///
    /// The leader's number stays taken while any process is in its group; the moment between the last process's end and
    /// this call is too short for the system to give the number away again.
    pub(super) fn leader_ended(&mut self) {
        self.kill_leader();
        self.kind = Leader::Gone;
    }

    /// A group without processes is no error.
    fn note(&self, sent: nix::Result<()>) {
        if let Err(error) = sent
            && error != Errno::ESRCH
        {
            tracing::debug!(group = self.leader.as_raw(), %error, "cannot signal a process group");
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}
