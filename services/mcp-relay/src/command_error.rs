//! Why a subcommand ended without success. Decides the exit code; must not know any subcommand.

use runtime::env::Problems;

/// The failure of a subcommand, with the text for standard error.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// Command line or configuration need correction; nothing was started.
    Config(String),
    /// The command failed at run time.
    Failed(anyhow::Error),
}

impl From<Problems> for CommandError {
    fn from(problems: Problems) -> Self {
        Self::Config(problems.to_string())
    }
}

impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}
