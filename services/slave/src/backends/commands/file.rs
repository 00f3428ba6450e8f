//! The reader of the tools file (`SLAVE_TOOLS`): YAML with a list `tools`. Must not know processes.
//!
//! All problems are reported at once, each with its line and its place. A tool with a problem is left out; the others run.

mod code;
mod command;
mod entry;
mod limits;
mod reader;
mod result;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime::document::{Cursor, Document, DocumentProblem, DocumentProblems, Rendered};
use runtime::io_fault::describe;

use super::tool::CommandTool;
use crate::config::Strictness;
use entry::Item;
use reader::ToolReader;

/// The problems of a file. Never quotes what may be a secret.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", .path.display(), .problems.join("; "))]
pub struct ToolsFileError {
    /// The file.
    pub path: PathBuf,
    /// The problems, each with its line, its place and what was expected.
    pub problems: Vec<String>,
}

/// The content of a file.
#[derive(Clone, Debug, Default)]
pub struct ToolsFile {
    /// The tools that can be used, in the order of the file.
    pub tools: Vec<Arc<CommandTool>>,
    /// The names of those that cannot be used.
    pub refused: Vec<String>,
    /// The problems of those, each with its line, its place and what was expected.
    pub problems: Vec<String>,
    /// What may not be meant so.
    pub warnings: Vec<String>,
}

/// Returns the content of a file. `variable` returns the value of `${NAME}` in `command`, `stdin`, `env`, `cwd` and `confine`.
///
/// # Errors
/// The file cannot be read or has another form; or a tool cannot be used, and no other can, or `strictness` is [`Strictness::File`].
pub fn read(
    path: &Path,
    content: Result<&[u8], &std::io::Error>,
    strictness: Strictness,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<ToolsFile, ToolsFileError> {
    let failed = |problems| ToolsFileError { path: path.to_owned(), problems };
    let content = content.map_err(|error| failed(vec![format!("cannot be read: {}", describe(error))]))?;
    let text =
        std::str::from_utf8(content).map_err(|error| failed(vec![format!("is not UTF-8: {error}")]))?;
    let file = parse(text, &variable).map_err(|problems| failed(texts(&problems)))?;
    let none_left = file.tools.is_empty() || strictness == Strictness::File;
    if none_left && !file.problems.is_empty() { Err(failed(file.problems)) } else { Ok(file) }
}

fn texts(problems: &DocumentProblems) -> Vec<String> {
    problems.0.iter().map(ToString::to_string).collect()
}

/// Returns the content of a file; fails where it has no list of tools.
fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<ToolsFile, DocumentProblems> {
    let (mut items, mut warnings) = (Vec::new(), Vec::new());
    // The parser's own messages quote the file.
    let document = Document::parse(text, Rendered::Hidden)?;
    let read = document.read(Rendered::Open, |root| read_items(root, variable, &mut items, &mut warnings));
    let problems = read.err().map(|problems| problems.0).unwrap_or_default();
    if problems.iter().any(|problem| item_of(problem).is_none()) {
        return Err(DocumentProblems(problems));
    }
    let mut file = ToolsFile { warnings, ..ToolsFile::default() };
    for (index, Item { name, tool, disabled }) in items.into_iter().enumerate() {
        let bad = problems.iter().any(|problem| item_of(problem) == Some(index));
        match tool {
            _ if disabled && !bad => {}
            Some(tool) if !bad => file.tools.push(Arc::new(tool)),
            _ => file.refused.push(name),
        }
    }
    file.refused.retain(|name| file.tools.iter().all(|tool| tool.name != *name));
    file.problems = texts(&DocumentProblems(problems));
    Ok(file)
}

fn read_items(
    root: &Cursor<'_>,
    variable: &dyn Fn(&str) -> Option<String>,
    items: &mut Vec<Item>,
    warnings: &mut Vec<String>,
) {
    let Some(top) = root.entries_of(&["tools"]) else { return };
    let Some(list) = top.required("tools", "a list of tools, each with \"name\" and \"command\"") else {
        return;
    };
    for cursor in list.items("a list of tools, each with \"name\" and \"command\"") {
        let mut reader = ToolReader::new(variable);
        let item = reader.read(&cursor);
        if items.iter().any(|other| !other.name.is_empty() && other.name == item.name) {
            cursor.error(format!("a name that no tool above has (not {:?} again)", item.name));
        }
        warnings.append(&mut reader.warnings);
        items.push(item);
    }
}

/// Returns the number of the tool that has the problem; `None`: the file has it.
fn item_of(problem: &DocumentProblem) -> Option<usize> {
    problem.path.strip_prefix("tools[")?.split_once(']')?.0.parse().ok()
}

#[cfg(test)]
mod tests;
