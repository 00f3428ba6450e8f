//! One run of the CLI: its process group, its output, its exit. Must not know what the output means.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use bytes::Bytes;
use nix::sys::signal::Signal;
use protocol::mcp::failure::Failure;
use runtime::secret::Secret;
use runtime::traces::TraceContext;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::arguments::CommandLine;
use crate::backends::environment;
use crate::backends::group::ProcessGroup;
use crate::backends::lines::{Caps, Line, Lines};

/// Bytes of the end of standard error that are kept.
const ERRORS_KEPT: usize = 16 * 1024;

/// What a run left.
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    /// All of standard output.
    pub(super) output: String,
    /// The end of standard error.
    pub(super) errors: String,
}

/// A run. Dropping it kills the process group and then removes the files.
pub(super) struct Run {
    child: Child,
    group: ProcessGroup,
    // After the group: fields are dropped in this order.
    _line: CommandLine,
}

impl Run {
    /// Starts the executable without a shell, with nothing on its standard input and only the given variables, the
    /// trace context and [`environment::SAFE`] in its environment.
    pub(super) fn start(
        executable: &Path,
        variables: &[(String, Secret)],
        carried: Option<&TraceContext>,
        line: CommandLine,
    ) -> io::Result<Self> {
        let mut command = Command::new(executable);
        environment::limit(&mut command, variables);
        environment::carry(&mut command, carried);
        command.args(&line.args).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn()?;
        let group = ProcessGroup::of(&child).ok_or_else(|| io::Error::other("it ended at once"))?;
        Ok(Self { child, group, _line: line })
    }

    /// Runs to the end. Each line of standard output goes to `lines` too, unless its reader is behind. Fails when
    /// the output has more than `max_output` bytes. Dropping the future kills the process group.
    pub(super) async fn finish(
        mut self,
        max_output: usize,
        lines: mpsc::Sender<String>,
    ) -> Result<Finished, Failure> {
        let stdout = self.child.stdout.take();
        let stderr = self.child.stderr.take();
        let group = &self.group;
        let child = &mut self.child;
        let exit = async {
            let status = child.wait().await;
            // Whatever it left running would hold its pipes open.
            group.signal(Signal::SIGKILL);
            status
        };
        let lost = |error: io::Error| Failure::BackendFailed {
            backend: super::NAME.into(),
            reason: error.to_string(),
        };
        let (output, errors, status) = tokio::try_join!(
            read_all(stdout, max_output, lines),
            async { tail(stderr).await.map_err(lost) },
            async { exit.await.map_err(lost) },
        )?;
        Ok(Finished { status, output, errors })
    }
}

async fn read_all(
    from: Option<impl AsyncRead + Unpin>,
    max: usize,
    to: mpsc::Sender<String>,
) -> Result<String, Failure> {
    let too_large =
        || Failure::ResultTooLarge(format!("mr-pilot wrote more than {max} bytes (MAX_OUTPUT_BYTES)"));
    let Some(from) = from else { return Ok(String::new()) };
    let mut lines = Lines::new(from, Caps { line: max, head: 0, endless: 0 });
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
                // Progress is a courtesy: nobody waits for a slow reader.
                let _ = to.try_send(String::from_utf8_lossy(&line).into_owned());
            }
            Ok(None) => return Ok(output),
            Ok(Some(Line::TooLong { .. })) | Err(_) => return Err(too_large()),
        }
    }
}

async fn tail(from: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let Some(mut from) = from else { return Ok(String::new()) };
    let mut kept = Vec::with_capacity(2 * ERRORS_KEPT);
    while from.read_buf(&mut kept).await? > 0 {
        if kept.len() >= ERRORS_KEPT * 3 / 2 {
            kept.drain(..kept.len() - ERRORS_KEPT);
        }
    }
    Ok(String::from_utf8_lossy(&kept).into_owned())
}
