//! What the slave says of its offer: how many tools there are, and why there is none, with what to do. Must not know HTTP or
//! links.

use std::fmt;

use protocol::mcp::catalog::Catalog;

use crate::config::SlaveConfig;
use crate::executor::{BackendSnapshot, BackendState, Executor};

/// Program that is looked for where `MR_PILOT_COMMAND` is not set.
const DEFAULT_COMMAND: &str = crate::backends::pilot::NAME;

/// What the configuration says of where tools come from.
#[derive(Clone, Debug, Default)]
pub(super) struct ToolSources {
    /// Names of the set variables that only mr-pilot needs.
    pilot_variables: Vec<&'static str>,
}

/// Why no tool is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Starting,
    Failed,
    NoTools,
    NoPilot,
    NoBackend,
}

impl ToolSources {
    pub(super) fn of(config: &SlaveConfig) -> Self {
        Self { pilot_variables: config.mr_pilot.env.keys().copied().collect() }
    }

    /// Returns why no backend offers a tool, and what to do, in one line. Names are left out: `/readyz` asks for no key.
    pub(super) fn explain(&self, executor: &Executor) -> String {
        self.cause(&executor.backend_states()).to_string()
    }

    fn cause(&self, states: &[BackendSnapshot]) -> Cause {
        let any = |wanted: fn(&BackendState) -> bool| states.iter().any(|backend| wanted(&backend.state));
        if any(|state| *state == BackendState::Starting) {
            Cause::Starting
        } else if any(|state| matches!(state, BackendState::Restarting { .. } | BackendState::Failed { .. }))
        {
            Cause::Failed
        } else if !states.is_empty() {
            Cause::NoTools
        } else if self.pilot_variables.is_empty() {
            Cause::NoBackend
        } else {
            Cause::NoPilot
        }
    }

    /// Returns the warning of variables for mr-pilot where it is not installed; `None` where it is, or none is set.
    pub(super) fn missing_pilot(&self, states: &[BackendSnapshot]) -> Option<String> {
        let is_there = states.iter().any(|backend| backend.name == DEFAULT_COMMAND);
        if is_there || self.pilot_variables.is_empty() {
            return None;
        }
        let (names, path) = (self.pilot_variables.join(", "), std::env::var("PATH").unwrap_or_default());
        Some(format!(
            "{names}: set for mr-pilot, but there is no {DEFAULT_COMMAND:?} on PATH ({path}), so review_merge_request is not offered. \
             Install mr-pilot, or set MR_PILOT_COMMAND to its path"
        ))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "backends are starting",
            Self::Failed => "backends failed: see the log, or run mcp-relay doctor in the same environment",
            Self::NoTools => "no backend has a tool: run mcp-relay doctor in the same environment",
            Self::NoPilot => {
                "no backend is configured, and mr-pilot, for which variables are set, is not on PATH: \
                 install it, or set MR_PILOT_COMMAND to its path"
            }
            Self::NoBackend => {
                "no backend is configured: set SLAVE_BACKENDS to an mcpServers file or SLAVE_TOOLS to a file of commands, install mr-pilot \
                 (or set MR_PILOT_COMMAND to its path), or set DEMO_TOOLS=1"
            }
        })
    }
}

/// Returns the warning of variables for mr-pilot where it is not among the backends; `None` where it is, or none is set.
pub fn missing_pilot(config: &SlaveConfig, executor: &Executor) -> Option<String> {
    ToolSources::of(config).missing_pilot(&executor.backend_states())
}

/// Says what is offered once every backend has reported, and whenever the last tool goes or the first one comes. Runs until
/// the executor is gone.
pub(super) async fn report(executor: Executor, sources: ToolSources) {
    let mut catalog = executor.catalog();
    if let Some(warning) = sources.missing_pilot(&executor.backend_states()) {
        tracing::warn!("{warning}");
    }
    executor.settled().await;
    let mut offered = None;
    loop {
        let tools = tools(&catalog.borrow_and_update());
        if offered.is_none_or(|before| (before == 0) != (tools == 0)) {
            say(tools, &executor, &sources);
        }
        offered = Some(tools);
        if catalog.changed().await.is_err() {
            return;
        }
    }
}

fn tools(catalog: &Catalog) -> usize {
    catalog.tools.len()
}

fn say(tools: usize, executor: &Executor, sources: &ToolSources) {
    if tools == 0 {
        tracing::warn!("No tool is offered: {}", sources.explain(executor));
    } else {
        let backends = executor.backend_states().len();
        tracing::info!(tools, backends, "Tools are offered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: &str, state: BackendState) -> BackendSnapshot {
        BackendSnapshot { name: name.into(), state, tools: Vec::new(), counts: [0; 4] }
    }

    #[test]
    fn each_cause_says_what_to_do() {
        let failed = BackendState::Failed { reason: "hush".into() };
        let (none, tokens) =
            (ToolSources::default(), ToolSources { pilot_variables: vec!["GITLAB_TOKEN", "LLM_API_KEY"] });
        for (sources, states, expected) in [
            (&none, vec![], Cause::NoBackend),
            (&tokens, vec![], Cause::NoPilot),
            (&tokens, vec![backend("a", BackendState::Ready)], Cause::NoTools),
            (&none, vec![backend("a", failed.clone())], Cause::Failed),
            (&none, vec![backend("a", failed), backend("b", BackendState::Starting)], Cause::Starting),
        ] {
            let cause = sources.cause(&states);
            assert_eq!(cause, expected);
            let text = cause.to_string();
            assert!(!text.contains("hush") && !text.contains('\n') && !text.contains("  "), "{text}");
        }
        assert!(Cause::NoPilot.to_string().contains("MR_PILOT_COMMAND"));
        for variable in ["SLAVE_BACKENDS", "SLAVE_TOOLS", "MR_PILOT_COMMAND", "DEMO_TOOLS"] {
            assert!(Cause::NoBackend.to_string().contains(variable), "{variable}");
        }
    }

    #[test]
    fn variables_of_an_absent_mr_pilot_are_named_without_values() {
        let tokens = ToolSources { pilot_variables: vec!["GITLAB_TOKEN", "LLM_API_KEY"] };
        let text = tokens.missing_pilot(&[backend("files", BackendState::Ready)]).unwrap();
        assert!(text.starts_with("GITLAB_TOKEN, LLM_API_KEY: set for mr-pilot"), "{text}");
        assert!(text.contains("on PATH (/"), "{text}");
        assert_eq!(tokens.missing_pilot(&[backend("mr-pilot", BackendState::Ready)]), None);
        assert_eq!(ToolSources::default().missing_pilot(&[]), None);
    }
}
