//! The configuration of the `mr-pilot` CLI. Must not know how the CLI is run.

use std::path::PathBuf;

use runtime::secret::Secret;

use crate::config::ReviewHosts;

/// The executable that is searched on PATH, and the backend's name.
pub(crate) const NAME: &str = "mr-pilot";

/// The configuration of the CLI.
#[derive(Debug, Default)]
pub struct PilotConfig {
    /// `MR_PILOT_COMMAND`: name or path of the executable; `None`: `mr-pilot`, if it is found on PATH.
    pub command: Option<String>,
    /// The variables that the CLI needs (tokens, LLM settings), as the slave has them. The CLI gets nothing else of the
    /// slave's environment but [`INHERITED`](crate::backends::environment::INHERITED).
    pub variables: Vec<(String, Secret)>,
    /// `MR_PILOT_CWD`: the directory that the CLI runs in, where it reads `.env`; `None`: the slave's own.
    pub cwd: Option<PathBuf>,
    /// What a review may ask for.
    pub policy: ReviewPolicy,
}

/// Returns whether a variable of this name holds a secret.
pub(in crate::backends) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let parts = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL"];
    name.ends_with("_KEY") || parts.iter().any(|part| name.contains(part))
}

/// What a review may ask for.
#[derive(Clone, Debug, Default)]
pub struct ReviewPolicy {
    /// The hosts that it may name.
    pub hosts: ReviewHosts,
    /// Whether it may be posted as a comment.
    pub comments: Comments,
}

/// Whether a review may be posted as a comment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Comments {
    /// It may.
    #[default]
    Allowed,
    /// It is refused.
    Refused,
}
