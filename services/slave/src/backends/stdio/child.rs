//! One child process with its pipes: started in a group of its own, ended with that group. Must not know MCP.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use super::StdioServer;
use crate::backends::environment;
use crate::backends::group::ProcessGroup;

/// A running child. Dropping it kills its group.
pub(super) struct Running {
    child: Child,
    group: ProcessGroup,
}

/// Its pipes, each for a task of its own.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// Starts what the entry says; no shell is involved.
pub(super) fn spawn(server: &StdioServer) -> io::Result<(Running, Pipes)> {
    let mut command = Command::new(&server.command);
    environment::limit(&mut command, &server.env);
    command.args(&server.args).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(directory) = &server.cwd {
        command.current_dir(directory);
    }
    let mut child = command.spawn().map_err(|error| explain(server, &error))?;
    let no_pipe = || io::Error::other("a pipe is missing");
    let pipes = Pipes {
        stdin: child.stdin.take().ok_or_else(no_pipe)?,
        stdout: child.stdout.take().ok_or_else(no_pipe)?,
        stderr: child.stderr.take().ok_or_else(no_pipe)?,
    };
    let group = ProcessGroup::of(&child).ok_or_else(|| io::Error::other("it ended at once"))?;
    Ok((Running { child, group }, pipes))
}

/// The system's "No such file" does not say which.
fn explain(server: &StdioServer, error: &io::Error) -> io::Error {
    let directory = server.cwd.as_ref().filter(|directory| !directory.is_dir());
    let text = match (directory, error.kind()) {
        (Some(directory), _) => format!("its cwd {} is not a directory", directory.display()),
        (None, io::ErrorKind::NotFound) => {
            format!("its command {:?} is not found (PATH of the slave)", server.command)
        }
        (None, _) => format!("its command {:?} cannot be started: {error}", server.command),
    };
    io::Error::new(error.kind(), text)
}

impl Running {
    /// Its number, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the process to end; what is left of its group is killed, so that its pipes close. Cancel-safe.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.group.signal(Signal::SIGKILL);
        Ok(status)
    }

    /// Ends it: standard input is closed already, so first it may go by itself, then it is asked to, then it is
    /// killed, each after `patience` (2026-07-28, stdio, "Shutdown").
    pub(super) async fn stop(mut self, patience: Duration) {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if tokio::time::timeout(patience, self.ended()).await.is_ok() {
                return;
            }
            self.group.signal(signal);
        }
        if let Err(error) = self.ended().await {
            tracing::warn!(%error, "cannot wait for a killed process");
        }
    }
}

/// Writes messages to a child until it takes no more or all who may send are gone; then its standard input closes.
pub(super) async fn write(mut stdin: ChildStdin, mut messages: mpsc::Receiver<Bytes>) {
    while let Some(message) = messages.recv().await {
        if let Err(error) = stdin.write_all(&message).await {
            tracing::debug!(%error, "a child does not read its standard input any more");
            return;
        }
    }
}
