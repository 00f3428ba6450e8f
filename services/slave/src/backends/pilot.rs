//! The tool `review_merge_request`: the `mr-pilot` CLI, run without a shell, its report turned into a structured result.
//!
//! Must not know MCP beyond tools.

mod arguments;
mod process;
mod progress;
mod report;
mod result;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::mcp::catalog::CatalogEntry;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use runtime::secret::Secret;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::mask::Mask;
use super::stdio::Surroundings;
use super::{Answer, Backend, Stopping};
use crate::executor::{CallSink, Registry, SlotId, State, ToolCall};
use crate::metrics::{self, Exit, ProbeOutcome};
use crate::outcome::BackendOutcome;
use crate::trace::BackendSpan;
use arguments::{Arguments, CommandLine};
use process::{Finished, Run};
use progress::Progress;
use result::{Review, refused};

/// What is looked for on PATH, and the backend's name.
const NAME: &str = "mr-pilot";

/// Characters of standard error in an error's text.
const ERRORS_SHOWN: usize = 8 * 1024;

/// Lines of progress that may wait for the client.
const LINES_AHEAD: usize = 16;

const DEFINITION: &str = include_str!("pilot/definition.json");

/// How the CLI is run.
#[derive(Debug, Default)]
pub struct PilotConfig {
    /// `MR_PILOT_COMMAND`: name or path of the executable. Unset: `mr-pilot`, if it is found on PATH.
    pub command: Option<String>,
    /// The variables that the CLI needs (tokens, LLM settings), as the slave has them. Nothing else of the slave's
    /// environment reaches it, but for [`super::environment::SAFE`].
    pub variables: Vec<(String, Secret)>,
}

struct Pilot {
    executable: PathBuf,
    variables: Vec<(String, Secret)>,
    mask: Mask,
    max_output: usize,
    stopping: Stopping,
}

/// Offers the tool if the executable is there. Missing although it is asked for by name: says so.
pub(super) fn start(config: PilotConfig, around: &Surroundings) {
    let wanted = config.command.as_deref().unwrap_or(NAME);
    let found = find(wanted);
    if found.is_none() && config.command.is_none() {
        tracing::debug!("{NAME} is not on PATH: no review_merge_request");
        return;
    }
    let secrets = config.variables.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
    let mask = around.mask.with(secrets);
    let pilot = Arc::new(Pilot {
        executable: found.clone().unwrap_or_default(),
        variables: config.variables,
        mask,
        max_output: around.max_output,
        stopping: around.stopping.clone(),
    });
    let slot = around.registry.add(NAME, pilot);
    let every = around.pace.check.zip(found.clone());
    let offer = RawValue::from_string(DEFINITION.trim_end().replace('\n', " "))
        .and_then(|definition| CatalogEntry::named(&definition));
    match (found, offer) {
        (Some(executable), Ok(offer)) => {
            tracing::info!(command = %executable.display(), "review_merge_request is offered");
            around.registry.ready(slot, vec![offer.clone()]);
            if let Some((every, executable)) = every {
                let watch = Watch { executable, offer, registry: Arc::clone(&around.registry), slot };
                around.stopping.spawn(watch.run(every, around.stopping.clone()));
            }
        }
        (None, _) => {
            let reason = format!(
                "MR_PILOT_COMMAND is {wanted:?}, which is no executable file (looked for on PATH if it has no \"/\"; it takes no arguments)"
            );
            tracing::warn!("review_merge_request is not offered: {reason}");
            around.registry.down(slot, State::Failed { reason });
        }
        (_, Err(error)) => tracing::error!(%error, "the definition of review_merge_request cannot be read"),
    }
}

/// Looks now and then whether the executable is still there.
struct Watch {
    executable: PathBuf,
    offer: CatalogEntry,
    registry: Arc<Registry>,
    slot: SlotId,
}

impl Watch {
    async fn run(self, every: Duration, stopping: Stopping) {
        let mut there = true;
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = stopping.begun() => return,
            }
            let now = is_executable(&self.executable);
            metrics::record_backend_probe(
                NAME,
                if now { ProbeOutcome::Answered } else { ProbeOutcome::Missed },
            );
            if now == there {
                continue;
            }
            there = now;
            if there {
                tracing::info!(command = %self.executable.display(), "review_merge_request is offered");
                self.registry.ready(self.slot, vec![self.offer.clone()]);
            } else {
                let reason = format!("{} is no executable file any more", self.executable.display());
                tracing::warn!("review_merge_request is not offered: {reason}");
                self.registry.down(self.slot, State::Failed { reason });
            }
        }
    }
}

fn is_secret(name: &str) -> bool {
    name.ends_with("_TOKEN") || name.ends_with("_KEY")
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Other("exited"),
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// The executable file that a command names, as the system would find it.
fn find(command: &str) -> Option<PathBuf> {
    if command.contains('/') {
        return Some(PathBuf::from(command)).filter(|path| is_executable(path));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(command)).find(|path| is_executable(path))
}

impl Backend for Pilot {
    fn call<'a>(
        &'a self,
        call: &'a ToolCall,
        _tool: &'a str,
        events: &'a mut dyn CallSink,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            tokio::select! {
                answer = self.review(call, events) => answer,
                () = self.stopping.begun() => Err(Failure::Draining),
            }
        })
    }
}

impl Pilot {
    async fn review(&self, call: &ToolCall, events: &mut dyn CallSink) -> Result<Answer, Failure> {
        let era = call.header.era;
        let arguments: Arguments = match call.arguments() {
            Ok(arguments) => arguments,
            Err(error) => return Ok(refused(era, &format!("Invalid arguments: {error}"))),
        };
        let line = match arguments.command_line() {
            Ok(line) => line,
            Err(error) => return Ok(refused(era, &format!("Error: {error}"))),
        };
        let mut asked = BackendSpan::start_command(call.parent.as_ref(), NAME);
        let answer = self.run((call, &arguments, line), &mut asked, events).await;
        asked.finish(BackendOutcome::from(&answer));
        answer
    }

    async fn run(
        &self,
        (call, arguments, line): (&ToolCall, &Arguments, CommandLine),
        asked: &mut BackendSpan,
        events: &mut dyn CallSink,
    ) -> Result<Answer, Failure> {
        let era = call.header.era;
        let run = match Run::start(&self.executable, &self.variables, asked.context().as_ref(), line) {
            Ok(run) => run,
            Err(error) => return Ok(refused(era, &format!("Error: {NAME} cannot be started: {error}"))),
        };
        metrics::record_backend_start(NAME);
        let (lines, said) = mpsc::channel(LINES_AHEAD);
        let work = run.finish(self.max_output, lines);
        let finished = if let Some(token) = call.token() {
            let mut progress = Progress::new(&token, &self.mask);
            tokio::try_join!(work, progress.tell(said, events))?.0
        } else {
            drop(said);
            work.await?
        };
        metrics::record_backend_exit(NAME, exit(finished.status));
        asked.set_exit(finished.status);
        if finished.status.success() {
            self.reviewed(era, arguments, &finished.output)
        } else {
            Ok(refused(era, &self.explain(&finished)))
        }
    }

    fn reviewed(&self, era: Era, arguments: &Arguments, output: &str) -> Result<Answer, Failure> {
        let posted = arguments.posts_comment();
        let review = match report::parse(output) {
            Some(found) => Review {
                success: true,
                goal_status: found.goal_status,
                score: found.score,
                issues: found.issues.iter().map(|issue| self.mask.apply(issue).into_owned()).collect(),
                remarks: self.mask.apply(&found.remarks).into_owned(),
                comment_posted: posted,
            },
            None => Review {
                success: false,
                goal_status: None,
                score: None,
                issues: Vec::new(),
                remarks: format!("{NAME} ended without an error, but its output has no review report."),
                comment_posted: false,
            },
        };
        review.answer(era).map_err(|_| Failure::Internal)
    }

    fn explain(&self, finished: &Finished) -> String {
        let how = match (finished.status.code(), finished.status.signal()) {
            (Some(code), _) => format!("exited with code {code}"),
            (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
        };
        let errors = report::without_colours(&finished.errors);
        let errors = self.mask.apply(errors.trim());
        let from = errors.ceil_char_boundary(errors.len().saturating_sub(ERRORS_SHOWN));
        format!("Error: {NAME} {how}: {}", errors.get(from..).unwrap_or_default())
    }
}
