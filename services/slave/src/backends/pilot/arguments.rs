//! The tool's arguments, checked and turned into a command line. Must not know how it is run.
//!
//! The CLI looks for each of its flags anywhere on the command line, and takes for the value of an option whatever follows
//! it; it does not know `--option=value`. So no value of a client may be equal to a flag: the positional argument and the
//! project may not begin with `-`, and a single word that does gets a space in front of it. A text with white space in it,
//! such as a list of `- criteria`, is no flag and stays as it is.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::config::{Comments, ReviewPolicy};
use crate::backends::arguments::{Argument, ArgumentProblems, ArgumentReader, Value};
use crate::config::ReviewHosts;

/// Bytes of the longest text on the command line: below the limit of Linux for one argument (128 KiB).
const MAX_ARGUMENT_LEN: usize = 100_000;

/// Characters of a diff that are few enough for the CLI's arithmetic.
const MAX_DIFF_CHARS: u32 = 1_000_000_000;

const TARGET: Argument = Argument {
    name: "mrUrlOrId",
    expected: "the URL or the number of a merge request or pull request",
    example: "\"https://gitlab.com/group/project/-/merge_requests/17\" or \"17\"",
};
const TICKET: Argument = text("ticketSpec", "\"Users can reset their password.\"");
const GUIDELINES: Argument = text("guidelines", "\"No unwrap outside of tests.\"");
const CRITERIA: Argument = text("acceptanceCriteria", "\"All error paths have tests.\"");
const COMMENT: Argument = Argument { name: "postComment", expected: "true or false", example: "true" };
const DEBUG: Argument = Argument { name: "debug", expected: "true or false", example: "false" };
const DIFF_CHARS: Argument = Argument {
    name: "maxDiffChars",
    expected: "a whole number from 1000 up (leave it out for the default)",
    example: "50000",
};
const PLATFORM: Argument = Argument {
    name: "platform",
    expected: "\"gitlab\" or \"github\" (leave it out where the URL or the project tells)",
    example: "\"gitlab\"",
};
const PROJECT: Argument = Argument {
    name: "project",
    expected: "a path such as group/sub/project (GitLab) or owner/repo (GitHub), without a host",
    example: "\"group/sub/project\"",
};

const fn text(name: &'static str, example: &'static str) -> Argument {
    Argument { name, expected: "a text", example }
}

/// The tool's arguments. Unknown members are ignored; `null` and blank texts mean absent.
#[derive(Debug, PartialEq)]
pub(super) struct Arguments {
    target: String,
    ticket: Option<String>,
    guidelines: Option<String>,
    comment: Option<bool>,
    max_diff_chars: Option<u32>,
    criteria: Option<String>,
    platform: Option<&'static str>,
    project: Option<String>,
    debug: Option<bool>,
}

/// The reason why a review is not begun. The text is for the model that made the call.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArgumentError {
    #[error(transparent)]
    Invalid(#[from] ArgumentProblems),
    #[error(
        "MR_PILOT_ALLOW_COMMENT of this slave is 0: reviews cannot be posted as comments; call again without postComment"
    )]
    CommentRefused,
    #[error("the slave cannot write a temporary file: {}", runtime::io_fault::describe(.0))]
    File(#[from] io::Error),
}

/// A command line and the files that it names. Dropping it removes the files.
#[derive(Debug)]
pub(super) struct CommandLine {
    /// The arguments after the executable.
    pub(super) args: Vec<OsString>,
    _files: Option<TempDir>,
}

impl Arguments {
    /// Reads and checks the JSON object that the client sent.
    pub(super) fn read(json: &[u8], policy: &ReviewPolicy) -> Result<Self, ArgumentError> {
        let mut reader = ArgumentReader::new(json)?;
        let target = reader.required(&TARGET, |reader| target(reader, &policy.hosts));
        let arguments = Self {
            target: target.unwrap_or_default(),
            ticket: reader.text(&TICKET),
            guidelines: reader.text(&GUIDELINES),
            comment: reader.flag(&COMMENT),
            max_diff_chars: max_diff_chars(&mut reader),
            criteria: reader.text(&CRITERIA).and_then(|text| one_argument(&mut reader, &CRITERIA, text)),
            platform: reader.word(&PLATFORM, &["gitlab", "github"]),
            project: project(&mut reader),
            debug: reader.flag(&DEBUG),
        };
        reader.finish()?;
        if arguments.posts_comment() && policy.comments == Comments::Refused {
            return Err(ArgumentError::CommentRefused);
        }
        Ok(arguments)
    }

    /// Returns whether the CLI is to comment on the change.
    pub(super) fn posts_comment(&self) -> bool {
        self.comment == Some(true)
    }

    /// Returns the acceptance criteria as the CLI gets and prints them.
    pub(super) fn criteria(&self) -> Option<String> {
        self.criteria.as_deref().map(no_flag)
    }

    /// Returns the command line, and writes the files.
    pub(super) fn command_line(&self) -> Result<CommandLine, ArgumentError> {
        let mut args: Vec<OsString> = vec![self.target.as_str().into()];
        let mut files = PrivateFiles::default();
        if let Some(text) = &self.ticket {
            args.extend(["--input-file".into(), files.write("ticket-spec.txt", text)?.into()]);
        }
        if let Some(text) = &self.guidelines {
            args.extend(["--guidelines-file".into(), files.write("guidelines.txt", text)?.into()]);
        }
        if self.posts_comment() {
            args.push("--comment".into());
        }
        let options = [
            ("--max-diff-chars", self.max_diff_chars.map(|number| number.to_string())),
            ("--acceptance-criteria", self.criteria()),
            ("--platform", self.platform.map(str::to_owned)),
            ("--project", self.project.clone()),
        ];
        for (name, value) in options {
            args.extend(value.into_iter().flat_map(|value| [OsString::from(name), value.into()]));
        }
        if self.debug == Some(true) {
            args.push("--debug".into());
        }
        Ok(CommandLine { args, _files: files.directory })
    }
}

/// Returns the URL or number of the change. Numbers may have the sign of a reference (`!17`, `#17`).
fn target(reader: &mut ArgumentReader<'_>, hosts: &ReviewHosts) -> Option<String> {
    let text = match reader.value(TARGET.name) {
        Value::Null => return None,
        // However a program writes a whole number.
        Value::Number(number) => number.strip_suffix(".0").unwrap_or(number).to_owned(),
        Value::Text(text) => one_argument(reader, &TARGET, text.trim().to_owned())?,
        Value::Bool(_) | Value::Other(_) => String::new(),
    };
    let number = text.strip_prefix(['!', '#']).unwrap_or(&text).trim_start();
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = number.trim_start_matches('0');
        if number.is_empty() {
            reader.refuse(&TARGET);
        }
        return Some(number.to_owned()).filter(|number| !number.is_empty());
    }
    if text.is_empty() || text.starts_with('-') || matches!(reader.value(TARGET.name), Value::Number(_)) {
        reader.refuse(&TARGET);
        return None;
    }
    hosts
        .check(&text)
        .map_err(|fault| reader.refuse_with(&TARGET, format!("{fault}, for example {}", TARGET.example)))
        .ok()
}

/// Returns the limit of the diff; 0 means the default, as for the existing server.
fn max_diff_chars(reader: &mut ArgumentReader<'_>) -> Option<u32> {
    let zero = match reader.value(DIFF_CHARS.name) {
        Value::Number(number) => number.parse() == Ok(0.0),
        Value::Text(text) => text.trim().parse() == Ok(0.0),
        _ => false,
    };
    if zero { None } else { reader.whole(&DIFF_CHARS, 1000..=MAX_DIFF_CHARS) }
}

/// Returns the project if it is a path: it must not name a host.
fn project(reader: &mut ArgumentReader<'_>) -> Option<String> {
    let text = reader.text(&PROJECT)?.trim().to_owned();
    if text.starts_with(['/', '-']) || text.contains([':', '@', '\\']) || text.contains(char::is_whitespace) {
        reader.refuse(&PROJECT);
        return None;
    }
    one_argument(reader, &PROJECT, text)
}

/// Returns the text if it can stand on a command line.
fn one_argument(reader: &mut ArgumentReader<'_>, argument: &Argument, text: String) -> Option<String> {
    if text.contains('\0') {
        reader.refuse_with(argument, "has NUL characters: leave them out");
        return None;
    }
    if text.len() > MAX_ARGUMENT_LEN {
        let len = text.len();
        reader.refuse_with(argument, format!("has {len} bytes, but must have at most {MAX_ARGUMENT_LEN}"));
        return None;
    }
    Some(text)
}

/// Returns a text that is no flag.
fn no_flag(text: &str) -> String {
    let single_word = text.starts_with('-') && !text.contains(char::is_whitespace);
    if single_word { format!(" {text}") } else { text.to_owned() }
}

/// The private directory of one call, made when it is first needed.
#[derive(Default)]
struct PrivateFiles {
    directory: Option<TempDir>,
}

impl PrivateFiles {
    /// Writes a file that only this user can read (directory 0700, file 0600) and returns its path.
    fn write(&mut self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.directory()?.join(name);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }

    fn directory(&mut self) -> io::Result<&Path> {
        let directory = match self.directory.take() {
            Some(directory) => directory,
            None => tempfile::Builder::new()
                .prefix("mcp-relay-review-")
                .permissions(std::fs::Permissions::from_mode(0o700))
                .tempdir()?,
        };
        Ok(self.directory.insert(directory).path())
    }
}

#[cfg(test)]
mod tests;
