//! The tool's arguments, checked and turned into a command line. Must not know how it is run.
//!
//! No value of a client can be read as a flag: the positional argument may not begin with `-`, and an option's value that
//! begins with `-` is joined to its option (`--option=-value`).

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

use super::config::{Comments, ReviewPolicy};
use crate::config::{ReviewHostError, ReviewHosts};

/// Bytes of the longest text on the command line: below the limit of Linux for one argument (128 KiB).
const MAX_ARGUMENT_LEN: usize = 100_000;

/// The platform that hosts the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Platform {
    Gitlab,
    Github,
}

/// The tool's arguments. Unknown members are ignored; `null` means absent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Arguments {
    mr_url_or_id: ChangeRef,
    #[serde(default)]
    ticket_spec: Option<String>,
    #[serde(default)]
    guidelines: Option<String>,
    #[serde(default)]
    post_comment: Option<bool>,
    #[serde(default)]
    max_diff_chars: Option<f64>,
    #[serde(default)]
    acceptance_criteria: Option<String>,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    project: Option<String>,
    #[serde(default)]
    debug: Option<bool>,
}

/// The URL or the number of a change; models sometimes write the number without quotes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ChangeRef {
    Text(String),
    Number(u64),
}

/// The reason why arguments cannot be used. The text is for the model that made the call.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArgumentError {
    #[error("Invalid arguments: {name} {fault}")]
    Invalid { name: &'static str, fault: &'static str },
    #[error("Invalid arguments: {name} {fault}")]
    Host { name: &'static str, fault: ReviewHostError },
    #[error(
        "MR_PILOT_ALLOW_COMMENT of this slave is 0: reviews cannot be posted as comments; call again without postComment"
    )]
    CommentRefused,
    #[error("the slave cannot write a temporary file: {0}")]
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
    /// Returns whether the CLI is to comment on the change.
    pub(super) fn posts_comment(&self) -> bool {
        self.post_comment == Some(true)
    }

    /// Checks the arguments and writes the files.
    pub(super) fn command_line(&self, policy: &ReviewPolicy) -> Result<CommandLine, ArgumentError> {
        if self.posts_comment() && policy.comments == Comments::Refused {
            return Err(ArgumentError::CommentRefused);
        }
        let mut args: Vec<OsString> = vec![self.target(&policy.hosts)?.into()];
        let mut files = PrivateFiles::default();
        if let Some(text) = non_empty(self.ticket_spec.as_ref()) {
            args.extend(["--input-file".into(), files.write("ticket-spec.txt", text)?.into()]);
        }
        if let Some(text) = non_empty(self.guidelines.as_ref()) {
            args.extend(["--guidelines-file".into(), files.write("guidelines.txt", text)?.into()]);
        }
        if self.posts_comment() {
            args.push("--comment".into());
        }
        if let Some(number) = self.max_diff_chars {
            push_option(&mut args, "--max-diff-chars", whole_number(number)?);
        }
        if let Some(text) = non_empty(self.acceptance_criteria.as_ref()) {
            push_option(&mut args, "--acceptance-criteria", check("acceptanceCriteria", text)?.to_owned());
        }
        if let Some(platform) = self.platform {
            let name = if platform == Platform::Gitlab { "gitlab" } else { "github" };
            push_option(&mut args, "--platform", name.to_owned());
        }
        if let Some(text) = non_empty(self.project.as_ref()) {
            push_option(&mut args, "--project", check_project(text.trim())?.to_owned());
        }
        if self.debug == Some(true) {
            args.push("--debug".into());
        }
        Ok(CommandLine { args, _files: files.directory })
    }

    fn target(&self, hosts: &ReviewHosts) -> Result<String, ArgumentError> {
        let text = match &self.mr_url_or_id {
            ChangeRef::Number(number) => return Ok(number.to_string()),
            ChangeRef::Text(text) => check("mrUrlOrId", text.trim())?,
        };
        let fault = |fault| Err(ArgumentError::Invalid { name: "mrUrlOrId", fault });
        match text.chars().next() {
            None => fault("is empty: give the URL or the number of a merge request or pull request"),
            Some('-') => {
                fault("begins with \"-\": give the URL or the number of a merge request or pull request")
            }
            Some(_) => hosts.check(text).map_err(|fault| ArgumentError::Host { name: "mrUrlOrId", fault }),
        }
    }
}

/// Returns the text if there is one; an empty text means the same as an absent one.
fn non_empty(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.trim().is_empty())
}

/// Returns the text if it can stand on a command line.
fn check<'a>(name: &'static str, text: &'a str) -> Result<&'a str, ArgumentError> {
    if text.contains('\0') {
        return Err(ArgumentError::Invalid { name, fault: "has NUL characters" });
    }
    if text.len() > MAX_ARGUMENT_LEN {
        return Err(ArgumentError::Invalid { name, fault: "is longer than 100000 bytes" });
    }
    Ok(text)
}

/// Returns the project if it is a path: it must not name a host.
fn check_project(text: &str) -> Result<&str, ArgumentError> {
    if text.starts_with('/') || text.contains([':', '@', '\\']) {
        return Err(ArgumentError::Invalid {
            name: "project",
            fault: "is no path such as group/sub/project or owner/repo",
        });
    }
    check("project", text)
}

/// Returns the number as text if it is whole. The CLI itself refuses numbers below 1000.
fn whole_number(number: f64) -> Result<String, ArgumentError> {
    if !(0.0..=1e15).contains(&number) || number.fract() != 0.0 {
        return Err(ArgumentError::Invalid {
            name: "maxDiffChars",
            fault: "is not a whole number from 1000 up",
        });
    }
    Ok(format!("{number:.0}"))
}

fn push_option(args: &mut Vec<OsString>, name: &str, value: String) {
    if value.starts_with('-') {
        args.push(format!("{name}={value}").into());
    } else {
        args.extend([name.into(), value.into()]);
    }
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
mod tests {
    use super::*;

    fn arguments(json: &str) -> Arguments {
        serde_json::from_str(json).unwrap()
    }

    fn line(json: &str) -> Vec<String> {
        let line = arguments(json).command_line(&ReviewPolicy::default()).unwrap();
        line.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn every_argument_becomes_its_option() {
        let args = line(
            r#"{"mrUrlOrId":" https://gitlab.com/x/-/merge_requests/7 ","postComment":true,"maxDiffChars":5e4,"acceptanceCriteria":"a; rm -rf $HOME\nb",
                "platform":"gitlab","project":"g/s/p","debug":true,"other":1}"#,
        );
        assert_eq!(
            args,
            [
                "https://gitlab.com/x/-/merge_requests/7",
                "--comment",
                "--max-diff-chars",
                "50000",
                "--acceptance-criteria",
                "a; rm -rf $HOME\nb",
                "--platform",
                "gitlab",
                "--project",
                "g/s/p",
                "--debug"
            ]
        );
        assert_eq!(
            line(r#"{"mrUrlOrId":"42","postComment":false,"debug":null,"project":"","guidelines":" "}"#),
            ["42"]
        );
        assert_eq!(line(r#"{"mrUrlOrId":42}"#), ["42"]);
    }

    #[test]
    fn no_value_can_be_read_as_a_flag() {
        for target in ["--help", " -x", "-", "", "\\u0000"] {
            let refused = arguments(&format!(r#"{{"mrUrlOrId":"{target}"}}"#))
                .command_line(&ReviewPolicy::default())
                .unwrap_err();
            assert!(refused.to_string().contains("mrUrlOrId"), "{refused}");
        }
        assert_eq!(
            line(r#"{"mrUrlOrId":"1","acceptanceCriteria":"- a\n- b","project":"--output=/etc/x"}"#),
            ["1", "--acceptance-criteria=- a\n- b", "--project=--output=/etc/x"]
        );
    }

    #[test]
    fn files_are_private_and_removed_with_the_command_line() {
        let line = arguments(r#"{"mrUrlOrId":"1","ticketSpec":"spec\n","guidelines":"-guide"}"#)
            .command_line(&ReviewPolicy::default())
            .unwrap();
        let file = Path::new(&line.args[2]).to_owned();
        assert_eq!((&*line.args[1], &*line.args[3]), ("--input-file".as_ref(), "--guidelines-file".as_ref()));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "spec\n");
        assert_eq!(std::fs::read_to_string(&line.args[4]).unwrap(), "-guide");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let directory = file.parent().unwrap().to_owned();
        assert_eq!((mode(&file), mode(&directory)), (0o600, 0o700));
        drop(line);
        assert!(!directory.exists());
    }

    #[test]
    fn numbers_and_platforms_are_checked() {
        for bad in ["-1000", "1000.5", "1e300"] {
            let refused = arguments(&format!(r#"{{"mrUrlOrId":"1","maxDiffChars":{bad}}}"#))
                .command_line(&ReviewPolicy::default())
                .unwrap_err();
            assert!(refused.to_string().contains("maxDiffChars"), "{refused}");
        }
        assert!(serde_json::from_str::<Arguments>(r#"{"mrUrlOrId":"1","platform":"bitbucket"}"#).is_err());
        assert!(serde_json::from_str::<Arguments>(r#"{"project":"a/b"}"#).is_err());
    }

    #[test]
    fn hosts_and_comments_follow_the_policy() {
        let policy = ReviewPolicy { comments: Comments::Refused, ..ReviewPolicy::default() };
        let refused = |json: &str| arguments(json).command_line(&policy).unwrap_err().to_string();
        assert!(refused(r#"{"mrUrlOrId":"1","postComment":true}"#).contains("MR_PILOT_ALLOW_COMMENT"));
        assert!(refused(r#"{"mrUrlOrId":"https://evil.example/a/pull/1"}"#).contains("MR_PILOT_HOSTS"));
        for project in
            ["https://evil.example/a", "git@evil.example:a/b", "//evil.example/a", "evil.example\\\\a"]
        {
            let text = refused(&format!(r#"{{"mrUrlOrId":"1","project":"{project}"}}"#));
            assert!(text.contains("project is no path"), "{project}: {text}");
        }
        assert!(arguments(r#"{"mrUrlOrId":"1","postComment":false}"#).command_line(&policy).is_ok());
    }
}
