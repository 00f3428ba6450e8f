//! The policy file on disk: read at start, read again when it changes. A file that is gone allows nothing. Must not know rules.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime::document::{Document, DocumentProblems, Rendered};
use runtime::follow::WatchedFile;

use crate::file;
use crate::policy::Policy;
use crate::side::Side;

/// Size of the file, in bytes.
const MAX_FILE_SIZE: u64 = 4 << 20;

/// The file as read at start.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// Its path.
    pub path: PathBuf,
    /// Its bytes, to recognise changes.
    pub content: Vec<u8>,
    /// Its parsed contents.
    pub policy: Arc<Policy>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Reading failed.
    #[error("it cannot be read: {}", runtime::io_fault::describe(.0))]
    Unreadable(#[from] std::io::Error),
    /// The contents are invalid.
    #[error(transparent)]
    Bad(#[from] DocumentProblems),
}

impl PolicyFile {
    /// Reads and parses a file. Blocks on file access.
    pub fn read(path: &Path, side: Side) -> Result<Self, PolicyError> {
        if std::fs::metadata(path)?.len() > MAX_FILE_SIZE {
            return Err(std::io::Error::other(format!("it is larger than {MAX_FILE_SIZE} bytes")).into());
        }
        let content = std::fs::read(path)?;
        let policy = Arc::new(parse_bytes(&content, side)?);
        Ok(Self { path: path.to_owned(), content, policy })
    }
}

fn parse_bytes(content: &[u8], side: Side) -> Result<Policy, PolicyError> {
    let text = std::str::from_utf8(content).map_err(std::io::Error::other)?;
    Ok(Policy::parse(text, side)?)
}

impl Policy {
    /// Parses the text of a file. The error names every problem with its line.
    pub fn parse(text: &str, side: Side) -> Result<Self, DocumentProblems> {
        let document = Document::parse(text, Rendered::Open)?;
        Ok(Self::new(document.read(Rendered::Open, |root| file::read(root, side))?))
    }
}

/// The outcome of reading a changed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Its content is in force.
    Applied,
    /// The content of before stays in force.
    Refused,
    /// The file is gone: nothing is allowed.
    Gone,
}

/// Passes every new content of the file that `variable` names to `apply`. Never returns; dropping the future stops it.
pub async fn follow(
    variable: &'static str,
    mut file: WatchedFile,
    side: Side,
    apply: impl Fn(Arc<Policy>, Reload) + Send,
    refused: impl Fn() + Send,
) {
    loop {
        let content = file.changed().await;
        let path = file.path().display();
        let read = content.map_err(PolicyError::from).and_then(|content| parse_bytes(&content, side));
        match read {
            Ok(policy) => {
                let rules = policy.rules();
                apply(Arc::new(policy), Reload::Applied);
                tracing::info!(rules, "{variable} read again from {path}");
            }
            Err(PolicyError::Unreadable(error)) if error.kind() == ErrorKind::NotFound => {
                apply(Arc::new(Policy::nothing()), Reload::Gone);
                tracing::error!("{variable} is gone, nothing is allowed until it is back: {path}");
            }
            Err(error) => {
                tracing::error!("{variable} cannot be used, the policy of before stays: {path}: {error}");
                refused();
            }
        }
    }
}
