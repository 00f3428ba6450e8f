//! The tool `review_merge_request`: the `mr-pilot` CLI, run without a shell, its report turned into a structured result.

use runtime::secret::Secret;

/// How the CLI is run.
#[derive(Debug, Default)]
pub struct PilotConfig {
    /// `MR_PILOT_COMMAND`: name or path of the executable. Unset: `mr-pilot`, if it is found on PATH.
    pub command: Option<String>,
    /// The variables that the CLI needs (tokens, LLM settings), as the slave has them. Nothing else of the slave's
    /// environment reaches it, but for [`super::environment::SAFE`].
    pub variables: Vec<(String, Secret)>,
}
