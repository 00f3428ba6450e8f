//! The `mr-pilot` CLI as a [`Backend`]: one process a call. Must not know MCP beyond tools.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use futures_util::future::BoxFuture;
use protocol::mcp::failure::Failure;
use tokio::sync::mpsc;

use super::arguments::{Arguments, CommandLine};
use super::cli::{CliOutput, CliProcess, Program};
use super::config::{NAME, PilotConfig, ReviewPolicy, is_secret};
use super::dotenv;
use super::outcome::CliResult;
use super::progress::ProgressReporter;
use super::result::error_result;
use crate::backends::context::BackendContext;
use crate::backends::redactor::Redactor;
use crate::backends::shutdown::ShutdownGroup;
use crate::call::{Answer, Backend, Exchange, Request};
use crate::launcher::Launcher;
use crate::metrics::{self, Exit};
use crate::outcome::BackendOutcome;
use crate::trace::BackendSpan;

/// Lines of progress that may wait for the client.
const MAX_WAITING_LINES: usize = 16;

/// The CLI as a backend.
pub(crate) struct Pilot {
    program: Program,
    policy: ReviewPolicy,
    redactor: Redactor,
    max_output: usize,
    shutdown: ShutdownGroup,
    launcher: Launcher,
}

impl Pilot {
    /// Returns the backend of this executable.
    pub(super) fn new(executable: PathBuf, config: PilotConfig, context: &BackendContext) -> Self {
        let PilotConfig { variables, cwd, policy, command: _ } = config;
        let secrets = variables.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
        Self {
            redactor: context.redactor.with(secrets),
            program: Program { executable, variables, cwd },
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
        let mut span = BackendSpan::start_command(request.parent.as_ref(), NAME, NAME);
        let redactor = self.redactor.with(&dotenv::secrets(self.program.cwd.as_deref()));
        let reporter = ProgressReporter::new(request.token(), &redactor);
        let output = self.run_cli(line, reporter, &mut span, exchange).await;
        let answer = match output {
            Ok(Ok(output)) => CliResult { output: &output, redactor: &redactor }.answer(era, &arguments),
            Ok(Err(error)) => Ok(error_result(era, &format!("Error: {NAME} cannot be started: {error}"))),
            Err(failure) => Err(failure),
        };
        span.finish(BackendOutcome::from(&answer));
        answer
    }

    /// Runs the CLI to its end, and passes its lines on as progress. The inner error is that of the start.
    async fn run_cli(
        &self,
        line: CommandLine,
        mut progress: ProgressReporter<'_>,
        span: &mut BackendSpan,
        exchange: &mut Exchange,
    ) -> Result<std::io::Result<CliOutput>, Failure> {
        let context = span.context();
        let process = match CliProcess::start(&self.program, context.as_ref(), line, &self.launcher) {
            Ok(process) => process,
            Err(error) => return Ok(Err(error)),
        };
        metrics::record_backend_start(NAME);
        let (sender, lines) = mpsc::channel(MAX_WAITING_LINES);
        let work = process.finish(self.max_output, sender);
        let output = tokio::try_join!(work, progress.run(lines, exchange))?.0;
        metrics::record_backend_exit(NAME, exit_of(output.status));
        span.set_exit(output.status);
        Ok(Ok(output))
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

pub(in crate::backends) fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Other("exited"),
    }
}
