//! A child process with its pipes, started in a process group of its own and ended with that group. Must not know MCP.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use runtime::io_fault::describe;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;

use super::config::StdioServer;
use super::write_queue::WriteQueue;
use crate::backends::environment;
use crate::backends::process_group::ProcessGroup;
use crate::launcher::{Launcher, widen_pipe};
use crate::splice::Pieces;

/// Time in which a launcher must have killed everything below it.
const LAUNCHER_TIMEOUT: Duration = Duration::from_secs(2);

/// Messages that one system call writes at most.
const MAX_WRITTEN_AT_ONCE: usize = 16;

/// A running child: the backend, or the launcher above it. Dropping it kills both and everything below.
pub(super) struct ChildProcess {
    // First, since fields are dropped in this order: its number is taken for as long as the child is not reaped.
    group: ProcessGroup,
    child: Child,
}

/// The pipes of a child, each for a task of its own.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// Starts the server's command without a shell.
pub(super) fn spawn(server: &StdioServer, launcher: &Launcher) -> io::Result<(ChildProcess, Pipes)> {
    let confinement = server.confinement.clone().with_readable(environment::certificates());
    let mut command = launcher.command(server.command.as_ref(), &server.args, &confinement)?;
    environment::restrict(&mut command, &server.env);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(directory) = &server.cwd {
        command.current_dir(directory);
    }
    let mut child = command.spawn().map_err(|error| with_file_name(server, &error))?;
    let no_pipe = || io::Error::other("a pipe is missing");
    let pipes = Pipes {
        stdin: child.stdin.take().ok_or_else(no_pipe)?,
        stdout: child.stdout.take().ok_or_else(no_pipe)?,
        stderr: child.stderr.take().ok_or_else(no_pipe)?,
    };
    widen_pipe(&pipes.stdin);
    widen_pipe(&pipes.stdout);
    let group = ProcessGroup::of(&child, launcher).ok_or_else(|| io::Error::other("it ended at once"))?;
    Ok((ChildProcess { group, child }, pipes))
}

/// Returns the error with the file that it is about: the system's "No such file" does not name it.
fn with_file_name(server: &StdioServer, error: &io::Error) -> io::Error {
    let directory = server.cwd.as_ref().filter(|directory| !directory.is_dir());
    let text = match (directory, error.kind()) {
        (Some(directory), _) => format!("its cwd {} is not a directory", directory.display()),
        (None, io::ErrorKind::NotFound) => {
            format!("its command {:?} is not found (PATH of the slave)", server.command)
        }
        (None, _) => format!("its command {:?} cannot be started: {}", server.command, describe(error)),
    };
    io::Error::new(error.kind(), text)
}

impl ChildProcess {
    /// Returns the process id; `None` once the process has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the process to end and kills what is left of its group, so that the pipes close. Cancel-safe.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.group.leader_ended();
        Ok(status)
    }

    /// Ends the process, whose standard input is closed already: waits `grace` for it to exit by itself, sends SIGTERM,
    /// waits again and sends SIGKILL (2026-07-28, stdio, "Shutdown").
    pub(super) async fn stop(mut self, grace: Duration) {
        for signal in [ProcessGroup::terminate, ProcessGroup::kill] {
            if tokio::time::timeout(grace, self.wait()).await.is_ok() {
                return;
            }
            signal(&self.group);
        }
        if tokio::time::timeout(LAUNCHER_TIMEOUT, self.wait()).await.is_ok() {
            return;
        }
        self.group.kill_leader();
        if let Err(error) = self.wait().await {
            tracing::warn!(%error, "cannot wait for a killed process");
        }
    }
}

/// Writes messages to a child until it stops reading or all senders are dropped; then closes its standard input.
pub(super) async fn write(mut stdin: ChildStdin, mut messages: mpsc::Receiver<Pieces>) {
    let (mut received, mut queue) = (Vec::new(), WriteQueue::default());
    while messages.recv_many(&mut received, MAX_WRITTEN_AT_ONCE).await > 0 {
        queue.extend(received.drain(..).flatten());
        if let Err(error) = stdin.write_all_buf(&mut queue).await {
            tracing::debug!(%error, "a child does not read its standard input any more");
            return;
        }
    }
}

/// Returns the bytes in a pipe that were not read yet; `None` where that is not known.
#[cfg(target_os = "linux")]
pub(super) fn unread(pipe: &OwnedFd) -> Option<u64> {
    rustix::io::ioctl_fionread(pipe).ok()
}

/// Returns `None`: that is not known here.
#[cfg(not(target_os = "linux"))]
pub(super) fn unread(_: &OwnedFd) -> Option<u64> {
    None
}
