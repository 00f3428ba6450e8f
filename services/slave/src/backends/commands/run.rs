//! A call of a tool that is a command: arguments in, a result out. Must not know which tools there are.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use runtime::io_fault::describe;
use serde_json::Value;
use tokio::sync::mpsc;

use super::output_file::{self, OutputDirectory};
use super::process::{Finished, Given, Reading, Running};
use super::progress::ProgressReporter;
use super::result::{self, Content};
use super::template::{Arguments, command_line};
use super::tool::{CommandTool, NAME, Output, OutputFile};
use crate::backends::context::BackendContext;
use crate::backends::environment;
use crate::backends::pilot::exit_of;
use crate::backends::redactor::Redactor;
use crate::call::{Answer, Exchange, Request};
use crate::launcher;
use crate::metrics;
use crate::outcome::BackendOutcome;
use crate::trace::BackendSpan;

/// Signs of life that may wait for the client.
const MAX_WAITING_SIGNS: usize = 16;

/// A tool, and what running it takes.
pub(super) struct LoadedTool {
    pub(super) tool: Arc<CommandTool>,
    redactor: Redactor,
    max_output: usize,
    launcher: launcher::Launcher,
}

/// A run that is ready to be started.
struct Prepared {
    given: Given,
    output: Option<OutputDirectory>,
}

impl LoadedTool {
    /// Returns the tool with what all backends share.
    pub(super) fn new(tool: Arc<CommandTool>, context: &BackendContext) -> Self {
        let redactor = context.redactor.with(&tool.secrets);
        Self { tool, redactor, max_output: context.max_output, launcher: context.launcher.clone() }
    }

    /// Runs a call. What the model can mend is a result with `isError`. Dropping the future kills the process group.
    pub(super) async fn call(&self, request: &Request, exchange: &mut Exchange) -> Result<Answer, Failure> {
        let era = request.header.era;
        let prepared = match self.prepare(request.arguments_json()) {
            Ok(prepared) => prepared,
            Err(text) => return Ok(self.error(era, &text)),
        };
        let _slot = match &self.tool.slots {
            Some(slots) => Some(slots.take(&self.tool.name).await?),
            None => None,
        };
        let mut span = BackendSpan::start_command(request.parent.as_ref(), NAME, self.tool.program_name());
        let answer = self.run(request, prepared, &mut span, exchange).await;
        span.finish(BackendOutcome::from(&answer));
        answer
    }

    /// Checks the arguments and makes the command line, before anything starts.
    fn prepare(&self, json: &[u8]) -> Result<Prepared, String> {
        let tool = &*self.tool;
        let unreadable = |error: serde_json::Error| {
            format!("the arguments cannot be read: line {}, column {}", error.line(), error.column())
        };
        let arguments = Arguments::read(json, &tool.defaults).map_err(unreadable)?;
        let mut value: Value = serde_json::from_slice(json).map_err(unreadable)?;
        if let Value::Object(members) = &mut value {
            // Many models write null for what they leave out.
            members.retain(|name, value| !(value.is_null() && tool.optional.contains(name)));
        }
        tool.arguments
            .check(&value)
            .map_err(|faults| format!("the arguments are not what the tool takes: {}", faults.join("; ")))?;
        let output = match &tool.output {
            Output::File(file) => Some(self.output_directory(file)?),
            Output::Text | Output::Json(_) => None,
        };
        let arguments = arguments.with_output(output.as_ref().map(|output| output.path().to_owned()));
        let failed = |error: super::template::ExpandError| error.to_string();
        let line = command_line(&tool.program.command, &arguments).map_err(failed)?;
        let stdin = tool.program.stdin.as_ref().map(|text| text.text(&arguments)).transpose();
        let confinement = tool.program.confinement.clone().with_readable(environment::certificates());
        let confinement = match &output {
            Some(output) => confinement.with_writable(output.directory().to_owned()),
            None => confinement,
        };
        Ok(Prepared { given: Given { line, stdin: stdin.map_err(failed)?, confinement }, output })
    }

    fn output_directory(&self, file: &OutputFile) -> Result<OutputDirectory, String> {
        OutputDirectory::new(file, &self.tool.program.confinement)
            .map_err(|error| format!("the slave cannot make a temporary directory: {}", describe(&error)))
    }

    async fn run(
        &self,
        request: &Request,
        prepared: Prepared,
        span: &mut BackendSpan,
        exchange: &mut Exchange,
    ) -> Result<Answer, Failure> {
        let (tool, era, Prepared { given, output }) = (&*self.tool, request.header.era, prepared);
        let context = span.context();
        let running = match Running::start(&tool.program, given, context.as_ref(), &self.launcher) {
            Ok(running) => running,
            Err(error) => return Ok(self.error(era, &self.start_text(&error))),
        };
        metrics::record_backend_start(NAME);
        let (sender, signs) = mpsc::channel(MAX_WAITING_SIGNS);
        let mut progress = ProgressReporter::new(request.token(), &self.redactor);
        let reading = Reading { max_output: self.max_output, progress: tool.progress.as_ref() };
        let work = async { tokio::try_join!(running.finish(reading, sender), progress.run(signs, exchange)) };
        let finished = match tool.timeout {
            None => work.await,
            Some(limit) => {
                let Ok(finished) = tokio::time::timeout(limit, work).await else {
                    let text = format!("it did not end within {} s and was stopped", limit.as_secs_f64());
                    return Ok(self.error(era, &text));
                };
                finished
            }
        };
        let (finished, ()) = finished?;
        metrics::record_backend_exit(NAME, exit_of(finished.status));
        span.set_exit(finished.status);
        self.answer(era, &finished, output.as_ref())
    }

    fn answer(&self, era: Era, run: &Finished, output: Option<&OutputDirectory>) -> Result<Answer, Failure> {
        if !run.status.code().is_some_and(|code| self.tool.exit_codes.contains(&code)) {
            return Ok(self.error(era, &self.end_text(run)));
        }
        let answer = match (&self.tool.output, output) {
            (Output::File(file), Some(output)) => self.file(era, file, output),
            (Output::Json(schema), _) => match std::str::from_utf8(&run.stdout) {
                Ok(text) => result::structured(era, &self.redactor.redact(text), schema.as_ref()),
                Err(_) => Err("its standard output is no JSON: it is not UTF-8".to_owned()),
            },
            _ => {
                let text = String::from_utf8_lossy(&run.stdout);
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Ok(result::text(era, &self.redactor.redact(text.strip_suffix('\r').unwrap_or(text))))
            }
        };
        let answer = answer.unwrap_or_else(|text| self.error(era, &text));
        let (len, max) = (answer.payload.len(), self.max_output);
        if len > max {
            let text = format!("the result has {len} bytes, more than the {max} of MAX_OUTPUT_BYTES");
            return Err(Failure::ResultTooLarge(text));
        }
        Ok(answer)
    }

    fn file(&self, era: Era, file: &OutputFile, output: &OutputDirectory) -> Result<Answer, String> {
        let bytes = output.read(self.max_output).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "it ended without an error, but wrote no file".to_owned(),
            io::ErrorKind::FileTooLarge => format!("the file that it wrote cannot be used: {error}"),
            _ => format!("the file that it wrote cannot be read: {}", describe(&error)),
        })?;
        let content = match output_file::content(file, bytes) {
            Content::Text(text) => Content::Text(self.redactor.redact(&text).into_owned()),
            bytes @ Content::Bytes { .. } => bytes,
        };
        let uri = format!("{NAME}://{}/{}", self.tool.name, file.name);
        Ok(result::file(era, &uri, content))
    }

    fn error(&self, era: Era, text: &str) -> Answer {
        result::error(era, &self.redactor.redact(&format!("{}: {text}", self.tool.name)))
    }

    /// Returns why the program did not start, with what to do where that is known.
    fn start_text(&self, error: &io::Error) -> String {
        let hint = match error.kind() {
            io::ErrorKind::ArgumentListTooLong => " (the arguments are too long for a command line)",
            _ => "",
        };
        format!("{} cannot be started: {}{hint}", self.tool.program_name(), describe(error))
    }

    /// Returns how a run that failed ended, with the end of what it said.
    fn end_text(&self, run: &Finished) -> String {
        let program = self.tool.program_name();
        if let Some(reason) = launcher::start_error(run.status, &run.stderr) {
            return format!("{program} cannot be started: {reason}");
        }
        let said = match run.stderr.trim() {
            "" => String::from_utf8_lossy(&run.stdout).trim().to_owned(),
            errors => errors.to_owned(),
        };
        let how = how_it_ended(run.status);
        if said.is_empty() { format!("{program} {how}") } else { format!("{program} {how}: {said}") }
    }
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
    }
}
