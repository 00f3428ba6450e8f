//! A process of the CLI: its process group, its output, its exit. Must not know what the output means.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use bytes::Bytes;
use protocol::mcp::failure::Failure;
use runtime::secret::Secret;
use runtime::traces::TraceContext;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::sync::mpsc;

use super::arguments::CommandLine;
use super::config::NAME;
use crate::backends::environment;
use crate::backends::line_reader::{Line, LineLimits, LineReader};
use crate::backends::process_group::ProcessGroup;
use crate::launcher::{Confinement, Launcher};

/// Bytes that are kept of the end of standard error.
const STDERR_TAIL_SIZE: usize = 16 * 1024;

/// The program that is run, and its surroundings.
pub(super) struct Program {
    pub(super) executable: PathBuf,
    /// The variables besides [`environment::INHERITED`].
    pub(super) variables: Vec<(String, Secret)>,
    /// The working directory; `None`: the slave's own.
    pub(super) cwd: Option<PathBuf>,
}

/// The output and exit status of a run.
pub(super) struct CliOutput {
    pub(super) status: ExitStatus,
    /// All of standard output.
    pub(super) stdout: String,
    /// The end of standard error.
    pub(super) stderr: String,
}

/// A running CLI. Dropping it kills the process group and then removes the files.
pub(super) struct CliProcess {
    // First, since fields are dropped in this order: its number is taken for as long as the child is not reaped.
    group: ProcessGroup,
    child: Child,
    // Last: the files go after the processes.
    _line: CommandLine,
}

impl CliProcess {
    /// Starts the program without a shell, with nothing on its standard input and only its own variables, the trace
    /// context and [`environment::INHERITED`] in its environment.
    pub(super) fn start(
        program: &Program,
        trace_context: Option<&TraceContext>,
        line: CommandLine,
        launcher: &Launcher,
    ) -> io::Result<Self> {
        let Program { executable, variables, cwd } = program;
        let mut command = launcher.command(executable.as_os_str(), &line.args, &Confinement::default())?;
        environment::restrict(&mut command, variables);
        if let Some(cwd) = cwd {
            command.current_dir(cwd);
        }
        environment::inherit(&mut command, trace_context);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn()?;
        let group = ProcessGroup::of(&child, launcher).ok_or_else(|| io::Error::other("it ended at once"))?;
        Ok(Self { group, child, _line: line })
    }

    /// Waits for the end. Each line of standard output goes to `lines` as well, and an empty one for what comes on standard
    /// error, unless the channel is full. Fails with
    /// [`Failure::ResultTooLarge`] when the output has more than `max_output` bytes. Dropping the future kills the
    /// process group.
    pub(super) async fn finish(
        mut self,
        max_output: usize,
        lines: mpsc::Sender<String>,
    ) -> Result<CliOutput, Failure> {
        let stdout_pipe = self.child.stdout.take();
        let stderr_pipe = self.child.stderr.take();
        let group = &mut self.group;
        let child = &mut self.child;
        let exit = async {
            let status = child.wait().await;
            // Processes that the CLI left running would hold its pipes open.
            group.leader_ended();
            status
        };
        let failed = |error: io::Error| Failure::BackendFailed {
            backend: NAME.into(),
            reason: runtime::io_fault::describe(&error),
            retry_after: None,
        };
        let (stdout, stderr, status) = tokio::try_join!(
            read_lines(stdout_pipe, max_output, lines.clone()),
            async { read_tail(stderr_pipe, lines).await.map_err(failed) },
            async { exit.await.map_err(failed) },
        )?;
        Ok(CliOutput { status, stdout, stderr })
    }
}

/// Reads standard output to its end, and passes its lines on.
async fn read_lines(
    from: Option<impl AsyncRead + Unpin>,
    max: usize,
    to: mpsc::Sender<String>,
) -> Result<String, Failure> {
    let too_large =
        || Failure::ResultTooLarge(format!("mr-pilot wrote more than {max} bytes (MAX_OUTPUT_BYTES)"));
    let Some(from) = from else { return Ok(String::new()) };
    let mut lines = LineReader::new(from, LineLimits { line: max, head: 0, endless: 0 });
    let mut output = String::new();
    loop {
        match lines.next().await {
            Ok(Some(Line::Whole(line))) => {
                let line: Bytes = line;
                output.push_str(&String::from_utf8_lossy(&line));
                output.push('\n');
                if output.len() > max {
                    return Err(too_large());
                }
                // Progress is optional: a slow reader misses lines.
                let _ = to.try_send(String::from_utf8_lossy(&line).into_owned());
            }
            Ok(None) => return Ok(output),
            Ok(Some(Line::TooLong { .. })) | Err(_) => return Err(too_large()),
        }
    }
}

/// Reads standard error and returns its end; reports each read by an empty line.
async fn read_tail(from: Option<impl AsyncRead + Unpin>, to: mpsc::Sender<String>) -> io::Result<String> {
    let Some(mut from) = from else { return Ok(String::new()) };
    let mut kept = Vec::with_capacity(2 * STDERR_TAIL_SIZE);
    while from.read_buf(&mut kept).await? > 0 {
        let _ = to.try_send(String::new());
        if kept.len() >= STDERR_TAIL_SIZE * 3 / 2 {
            kept.drain(..kept.len() - STDERR_TAIL_SIZE);
        }
    }
    Ok(String::from_utf8_lossy(&kept).into_owned())
}
