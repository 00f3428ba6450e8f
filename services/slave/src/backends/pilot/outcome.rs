//! What a run of the CLI came to: a review, a review without its comment, or an error. Must not know how the CLI is run.

use std::os::unix::process::ExitStatusExt;

use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;

use super::arguments::Arguments;
use super::cli::CliOutput;
use super::config::NAME;
use super::report;
use super::result::{CommentOutcome, Review, error_result};
use crate::backends::redactor::Redactor;
use crate::call::Answer;
use crate::launcher;

/// Bytes of standard error in an error's text.
const MAX_ERROR_TEXT: usize = 8 * 1024;

/// A run that has ended.
pub(super) struct CliResult<'a> {
    pub(super) output: &'a CliOutput,
    /// Replaces secrets in what the CLI wrote.
    pub(super) redactor: &'a Redactor,
}

impl CliResult<'_> {
    /// Returns the result of a run. A run that fails after it printed its whole report failed to comment: nothing else
    /// follows the report.
    pub(super) fn answer(&self, era: Era, arguments: &Arguments) -> Result<Answer, Failure> {
        let output = self.output;
        let report = report::parse(&output.stdout, arguments.criteria().as_deref());
        let asked = arguments.posts_comment();
        let review = match report {
            Some(report) if output.status.success() => {
                let comment = if asked { CommentOutcome::Posted } else { CommentOutcome::NotAsked };
                Review::of(&report, comment, self.redactor)
            }
            Some(report) if asked && report.is_whole => {
                let reason = self.end_text();
                tracing::warn!("a review is complete, but posting it as a comment failed: {reason}");
                Review::of(&report, CommentOutcome::Failed(reason), self.redactor)
            }
            None if output.status.success() => Review::missing(format!(
                "{NAME} ended without an error, but its output has no review report."
            )),
            _ => return Ok(error_result(era, &self.error_text())),
        };
        review.answer(era).map_err(|_| Failure::Internal)
    }

    /// Returns the text of the error of a run that failed.
    fn error_text(&self) -> String {
        if let Some(reason) = launcher::start_error(self.output.status, &self.output.stderr) {
            return format!("Error: {NAME} cannot be started: {}", self.redactor.redact(reason));
        }
        format!("Error: {}", self.end_text())
    }

    /// Returns how a run that failed ended, with the end of its standard error.
    fn end_text(&self) -> String {
        let how = match (self.output.status.code(), self.output.status.signal()) {
            (Some(code), _) => format!("exited with code {code}"),
            (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
        };
        let errors = without_label(&report::strip_ansi(&self.output.stderr));
        let errors = self.redactor.redact(&errors);
        let from = errors.ceil_char_boundary(errors.len().saturating_sub(MAX_ERROR_TEXT));
        format!("{NAME} {how}: {}", errors.get(from..).unwrap_or_default())
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
