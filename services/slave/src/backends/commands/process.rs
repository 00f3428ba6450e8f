//! A run of a command: its process group, its input and output, its end. Must not know what the output means.

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};

use protocol::mcp::failure::Failure;
use regex::Regex;
use runtime::io_fault::describe;
use runtime::traces::TraceContext;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::mpsc;

use super::collected::{Collected, Kept};
use super::progress::Sign;
use super::tool::{NAME, Program};
use crate::backends::environment;
use crate::backends::process_group::ProcessGroup;
use crate::launcher::{Confinement, Launcher};

/// Bytes that are kept of the end of standard error.
const STDERR_TAIL_SIZE: usize = 16 * 1024;

/// Bytes of one read.
const READ_SIZE: usize = 64 * 1024;

/// What a run is given.
pub(super) struct Given {
    /// The program and its arguments.
    pub(super) line: Vec<OsString>,
    /// What is written to standard input; `None`: it is empty.
    pub(super) stdin: Option<String>,
    /// What the processes are confined to.
    pub(super) confinement: Confinement,
}

/// What a run reads of the output.
pub(super) struct Reading<'a> {
    /// Bytes of standard output.
    pub(super) max_output: usize,
    /// The lines that are progress, and no output.
    pub(super) progress: Option<&'a Regex>,
}

/// A run that has ended.
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    /// All of standard output, without the lines that are progress.
    pub(super) stdout: Vec<u8>,
    /// The end of standard error, without the lines that are progress.
    pub(super) stderr: String,
}

/// A process that runs. Dropping it kills its group.
pub(super) struct Running {
    // First, since fields are dropped in this order: its number is taken for as long as the child is not reaped.
    group: ProcessGroup,
    child: Child,
    stdin: Option<String>,
}

impl Running {
    /// Starts the command without a shell, with only its own variables, the trace context and
    /// [`environment::INHERITED`] in its environment.
    pub(super) fn start(
        program: &Program,
        given: Given,
        trace: Option<&TraceContext>,
        launcher: &Launcher,
    ) -> io::Result<Self> {
        let Given { line, stdin, confinement } = given;
        let (executable, args) = line.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = launcher.command(executable, args, &confinement)?;
        environment::restrict(&mut command, &program.env);
        if let Some(cwd) = &program.cwd {
            command.current_dir(cwd);
        }
        environment::inherit(&mut command, trace);
        command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn()?;
        let group = ProcessGroup::of(&child, launcher).ok_or_else(|| io::Error::other("it ended at once"))?;
        Ok(Self { group, child, stdin })
    }

    /// Waits for the end. Progress and signs of life go to `signs`, as far as there is room. Fails with
    /// [`Failure::ResultTooLarge`] when there is too much output. Dropping the future kills the process group.
    pub(super) async fn finish(
        mut self,
        reading: Reading<'_>,
        signs: mpsc::Sender<Sign>,
    ) -> Result<Finished, Failure> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let (pipe, text) = (self.child.stdin.take(), self.stdin.take());
        let (group, child) = (&mut self.group, &mut self.child);
        let exit = async {
            let status = child.wait().await;
            // Processes that the command left running would hold its pipes open.
            group.leader_ended();
            status.map_err(|error| failed(&error))
        };
        let input = async {
            if let (Some(mut pipe), Some(text)) = (pipe, text) {
                // A program need not read what it is given.
                let _ = pipe.write_all(text.as_bytes()).await;
            }
            Ok(())
        };
        let out = Collected::new(Kept::All(reading.max_output), reading.progress);
        let err = Collected::new(Kept::Tail(STDERR_TAIL_SIZE), reading.progress);
        let (stdout, stderr, status, ()) =
            tokio::try_join!(read(stdout, out, signs.clone()), read(stderr, err, signs), exit, input)?;
        Ok(Finished { status, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
    }
}

/// Reads a pipe to its end.
async fn read(
    from: Option<impl AsyncRead + Unpin>,
    mut into: Collected<'_>,
    signs: mpsc::Sender<Sign>,
) -> Result<Vec<u8>, Failure> {
    let Some(mut from) = from else { return Ok(Vec::new()) };
    let mut chunk = Vec::with_capacity(READ_SIZE);
    while from.read_buf(&mut chunk).await.map_err(|error| failed(&error))? > 0 {
        // Progress is optional: a slow reader misses some.
        let _ = signs.try_send(Sign::Alive);
        into.take(&chunk, |progress| drop(signs.try_send(progress)))?;
        chunk.clear();
    }
    into.finish(|progress| drop(signs.try_send(progress)))
}

fn failed(error: &io::Error) -> Failure {
    Failure::BackendFailed { backend: NAME.into(), reason: describe(error), retry_after: None }
}
