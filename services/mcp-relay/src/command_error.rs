//! Why a subcommand ended without success. Decides the exit code; must not know any subcommand.

use std::fmt;

use runtime::env::Problems;

/// Exit code of a check that found a fault, and of a command that failed at run time.
pub(crate) const FAILED: u8 = 1;

/// Exit code for a command line or configuration that needs correction: `EX_USAGE` of sysexits.h.
pub(crate) const USAGE: u8 = 64;

/// The failure of a subcommand, with the text for standard error.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// Command line or configuration need correction; nothing was started.
    Config(String),
    /// The command failed at run time.
    Failed(anyhow::Error),
}

impl CommandError {
    /// Returns the exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => USAGE,
            Self::Failed(_) => FAILED,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(text) => f.write_str(text),
            Self::Failed(error) => write!(f, "{error:#}"),
        }
    }
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
