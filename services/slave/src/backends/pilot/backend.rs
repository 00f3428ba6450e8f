//! The `mr-pilot` CLI as a [`Backend`]: one process a call. Must not know MCP beyond tools.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use futures_util::future::BoxFuture;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use runtime::secret::Secret;
use tokio::sync::mpsc;

use super::arguments::{Arguments, CommandLine};
use super::cli::{CliOutput, CliProcess};
use super::config::{NAME, PilotConfig, ReviewPolicy};
use super::progress::ProgressReporter;
use super::report;
use super::result::{CommentOutcome, Review, error_result};
use crate::backends::context::BackendContext;
use crate::backends::redactor::Redactor;
use crate::backends::shutdown::ShutdownGroup;
use crate::call::{Answer, Backend, Exchange, Request};
use crate::launcher::{self, Launcher};
use crate::metrics::{self, Exit};
use crate::outcome::BackendOutcome;
use crate::trace::BackendSpan;

/// Bytes of standard error in an error's text.
const MAX_ERROR_TEXT: usize = 8 * 1024;

/// Lines of progress that may wait for the client.
const MAX_WAITING_LINES: usize = 16;

/// The CLI as a backend.
pub(crate) struct Pilot {
    executable: PathBuf,
    variables: Vec<(String, Secret)>,
    policy: ReviewPolicy,
    redactor: Redactor,
    max_output: usize,
    shutdown: ShutdownGroup,
    launcher: Launcher,
}

impl Pilot {
    /// Returns the backend of this executable.
    pub(super) fn new(executable: PathBuf, config: PilotConfig, context: &BackendContext) -> Self {
        let PilotConfig { variables, policy, command: _ } = config;
        let secrets = variables.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
        Self {
            executable,
            redactor: context.redactor.with(secrets),
            variables,
            policy,
            max_output: context.max_output,
            shutdown: context.shutdown.clone(),
            launcher: context.launcher.clone(),
        }
    }

    async fn review(&self, request: &Request, exchange: &mut Exchange) -> Result<Answer, Failure> {
        let era = request.header.era;
        let read = Arguments::read(request.arguments_json(), &self.policy);
        let begun = read.and_then(|arguments| arguments.command_line().map(|line| (arguments, line)));
        let (arguments, line) = match begun {
            Ok(begun) => begun,
            Err(error) => return Ok(error_result(era, &error.to_string())),
        };
        let mut span = BackendSpan::start_command(request.parent.as_ref(), NAME);
        let output = self.run_cli(request, line, &mut span, exchange).await;
        let answer = match output {
            Ok(Ok(output)) => self.result(era, &arguments, &output),
            Ok(Err(error)) => Ok(error_result(era, &format!("Error: {NAME} cannot be started: {error}"))),
            Err(failure) => Err(failure),
        };
        span.finish(BackendOutcome::from(&answer));
        answer
    }

    /// Runs the CLI to its end, and passes its lines on as progress. The inner error is that of the start.
    async fn run_cli(
        &self,
        request: &Request,
        line: CommandLine,
        span: &mut BackendSpan,
        exchange: &mut Exchange,
    ) -> Result<std::io::Result<CliOutput>, Failure> {
        let context = span.context();
        let started =
            CliProcess::start(&self.executable, &self.variables, context.as_ref(), line, &self.launcher);
        let process = match started {
            Ok(process) => process,
            Err(error) => return Ok(Err(error)),
        };
        metrics::record_backend_start(NAME);
        let (sender, lines) = mpsc::channel(MAX_WAITING_LINES);
        let work = process.finish(self.max_output, sender);
        let token = request.token();
        let mut progress = ProgressReporter::new(token.as_deref(), &self.redactor);
        let output = tokio::try_join!(work, progress.run(lines, exchange))?.0;
        metrics::record_backend_exit(NAME, exit_of(output.status));
        span.set_exit(output.status);
        Ok(Ok(output))
    }

    /// Returns the result of a run. A run that fails after it printed its whole report failed to comment: nothing else
    /// follows the report.
    fn result(&self, era: Era, arguments: &Arguments, output: &CliOutput) -> Result<Answer, Failure> {
        let report = report::parse(&output.stdout, arguments.criteria().as_deref());
        let asked = arguments.posts_comment();
        let review = match report {
            Some(report) if output.status.success() => {
                let comment = if asked { CommentOutcome::Posted } else { CommentOutcome::NotAsked };
                Review::of(&report, comment, &self.redactor)
            }
            Some(report) if asked && report.is_whole => {
                let reason = self.end_text(output);
                tracing::warn!("a review is complete, but posting it as a comment failed: {reason}");
                Review::of(&report, CommentOutcome::Failed(reason), &self.redactor)
            }
            None if output.status.success() => Review::missing(format!(
                "{NAME} ended without an error, but its output has no review report."
            )),
            _ => return Ok(error_result(era, &self.error_text(output))),
        };
        review.answer(era).map_err(|_| Failure::Internal)
    }

    /// Returns the text of the error of a run that failed.
    fn error_text(&self, output: &CliOutput) -> String {
        if let Some(reason) = launcher::start_error(output.status, &output.stderr) {
            return format!("Error: {NAME} cannot be started: {}", self.redactor.redact(reason));
        }
        format!("Error: {}", self.end_text(output))
    }

    /// Returns how a run that failed ended, with the end of its standard error.
    fn end_text(&self, output: &CliOutput) -> String {
        let how = match (output.status.code(), output.status.signal()) {
            (Some(code), _) => format!("exited with code {code}"),
            (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
        };
        let errors = without_label(&report::strip_ansi(&output.stderr));
        let errors = self.redactor.redact(&errors);
        let from = errors.ceil_char_boundary(errors.len().saturating_sub(MAX_ERROR_TEXT));
        format!("{NAME} {how}: {}", errors.get(from..).unwrap_or_default())
    }
}

impl Backend for Pilot {
    fn call<'a>(
        &'a self,
        _tool: &'a str,
        request: Request,
        exchange: &'a mut Exchange,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            tokio::select! {
                answer = self.review(&request, exchange) => answer,
                () = self.shutdown.wait() => Err(Failure::Draining),
            }
        })
    }
}

/// Returns the CLI's standard error without the label in front of its error: the tool's text has one itself.
fn without_label(stderr: &str) -> String {
    let line = |line: &str| {
        let unmarked = line.trim_start_matches(|c: char| !c.is_alphanumeric());
        unmarked.strip_prefix("Error:").map_or(line, str::trim_start).to_owned()
    };
    stderr.trim().lines().map(line).collect::<Vec<_>>().join("\n")
}

fn is_secret(name: &str) -> bool {
    name.ends_with("_TOKEN") || name.ends_with("_KEY")
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Other("exited"),
    }
}
