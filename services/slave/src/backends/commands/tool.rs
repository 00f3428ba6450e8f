//! A tool that is a command, as the file describes it. Must not know files or processes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::mcp::catalog::CatalogEntry;
use regex::Regex;
use runtime::secret::Secret;
use serde_json::value::RawValue;

use super::schema::Schema;
use super::slots::Slots;
use super::template::{Element, Template};
use crate::launcher::Confinement;

/// The backend's name.
pub(crate) const NAME: &str = "commands";

/// A tool that is a command.
#[derive(Debug)]
pub struct CommandTool {
    /// Its name.
    pub name: String,
    /// Its definition as clients see it.
    pub(super) entry: CatalogEntry,
    /// What the arguments must be.
    pub(super) arguments: Schema,
    /// The values of absent arguments.
    pub(super) defaults: BTreeMap<String, Arc<RawValue>>,
    /// The arguments that may be absent, for which `null` is taken as well.
    pub(super) optional: Vec<String>,
    /// What is run.
    pub(super) program: Program,
    /// What becomes of the output.
    pub(super) output: Output,
    /// The lines of output that are progress.
    pub(super) progress: Option<Regex>,
    /// The longest run; `None`: as long as the call may take.
    pub(super) timeout: Option<Duration>,
    /// The exit codes of a run that succeeded.
    pub(super) exit_codes: Vec<i32>,
    /// The runs at once; `None`: no limit.
    pub(super) slots: Option<Slots>,
    /// Values that must not be shown.
    pub(super) secrets: Vec<Secret>,
    /// Digest of the description and of the variables in it.
    pub(super) digest: [u8; 32],
}

/// What is run for a call.
#[derive(Debug)]
pub(super) struct Program {
    /// The command; the first element is the program, and literal.
    pub(super) command: Vec<Element>,
    /// What is written to standard input; `None`: it is empty.
    pub(super) stdin: Option<Template>,
    /// Variables in addition to [`INHERITED`](crate::backends::environment::INHERITED).
    pub(super) env: Vec<(String, Secret)>,
    /// The working directory; `None`: the slave's own.
    pub(super) cwd: Option<PathBuf>,
    /// What the processes are confined to.
    pub(super) confinement: Confinement,
}

/// What becomes of a command's output.
#[derive(Debug)]
pub(super) enum Output {
    /// Standard output is the result's text.
    Text,
    /// Standard output is JSON, which the schema holds for.
    Json(Option<Schema>),
    /// The file that the command writes is the result.
    File(OutputFile),
}

/// The file that a command writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OutputFile {
    /// Its name, within a directory of the call's own.
    pub(super) name: String,
    /// Its media type; `None`: found by its content and its name.
    pub(super) mime_type: Option<String>,
}

impl CommandTool {
    /// Returns whether both are described in the same way.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.digest == other.digest
    }

    /// Returns the program's name without its folder, for messages, metrics and traces.
    pub(super) fn program_name(&self) -> &str {
        let first = self.program.command.first().and_then(|element| element.templates.first());
        let program = first.and_then(Template::literal).unwrap_or_default();
        program.rsplit('/').next().unwrap_or_default()
    }
}
