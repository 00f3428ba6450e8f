//! The process group of a backend: the process that was started and everything it started. Must not know what runs in
//! it.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;

/// A process group led by a child that was started with `process_group(0)`. Dropping it kills what is left of the
/// group, so that no early return leaves an orphan.
pub(super) struct ProcessGroup {
    leader: Pid,
}

impl ProcessGroup {
    /// Returns the group of a child that was just started; `None` if the child is reaped already.
    pub(super) fn of(child: &Child) -> Option<Self> {
        let leader = i32::try_from(child.id()?).ok()?;
        Some(Self { leader: Pid::from_raw(leader) })
    }

    /// Sends a signal to every process of the group. A group without processes is no error.
    ///
    /// The leader's number stays taken while any process is in its group; the moment between the last process's end and
    /// this call is too short for the system to give the number away again.
    pub(super) fn signal(&self, signal: Signal) {
        if let Err(error) = killpg(self.leader, signal)
            && error != nix::errno::Errno::ESRCH
        {
            tracing::debug!(group = self.leader.as_raw(), %error, "cannot signal a process group");
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
