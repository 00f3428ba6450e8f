//! The offer of `review_merge_request`, which depends on whether the executable exists. Must not know how the CLI is run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::mcp::catalog::CatalogEntry;
use serde_json::value::RawValue;

use super::backend::Pilot;
use super::config::{NAME, PilotConfig};
use super::unpassed;
use crate::backends::context::BackendContext;
use crate::backends::executable::{find, is_executable};
use crate::backends::registration::{BackendReport, BackendState, Registration};
use crate::backends::shutdown::ShutdownGroup;
use crate::metrics::{self, ProbeOutcome};

/// The tool as clients see it. Its input schema is that of the existing server but for the wording, so that slaves of both kinds share
/// the calls on one proxy.
const DEFINITION: &str = include_str!("definition.json");

/// The offer of the tool, to be published once the backend is registered.
pub(crate) struct PilotOffer {
    command: String,
    executable: Option<PathBuf>,
}

/// Returns the backend and its offer; `None` if the CLI is neither configured nor installed.
pub(crate) fn prepare(config: PilotConfig, context: &BackendContext) -> Option<(Arc<Pilot>, PilotOffer)> {
    let command = config.command.as_deref().unwrap_or(NAME).to_owned();
    let executable = find(&command);
    if executable.is_none() && config.command.is_none() {
        tracing::debug!("{NAME} is not on PATH: no review_merge_request");
        return None;
    }
    // A relative path must not depend on the directory that the CLI runs in.
    let executable = executable.map(|path| std::path::absolute(&path).unwrap_or(path));
    if executable.is_some() {
        warn_of_unpassed(&config);
    }
    let pilot = Pilot::new(executable.clone().unwrap_or_default(), config, context);
    Some((Arc::new(pilot), PilotOffer { command, executable }))
}

fn warn_of_unpassed(config: &PilotConfig) {
    let names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    if let Some(text) = unpassed::warning(names.iter().map(String::as_str), &config.variables) {
        tracing::warn!("{text}");
    }
}

impl PilotOffer {
    /// Offers the tool, or reports that the configured executable is missing. Starts to watch the executable if health
    /// checks are configured.
    pub(crate) fn publish(self, registration: Box<dyn Registration>, context: &BackendContext) {
        let Some(executable) = self.executable else {
            let reason = format!(
                "MR_PILOT_COMMAND is {:?}, which is no executable file (looked for on PATH if it has no \"/\"; it takes no arguments)",
                self.command
            );
            tracing::warn!("review_merge_request is not offered: {reason}");
            return registration.down(BackendState::Failed { reason });
        };
        let definition = RawValue::from_string(DEFINITION.trim_end().replace('\n', " "));
        let tool = match definition.and_then(|definition| CatalogEntry::named(&definition)) {
            Ok(tool) => tool,
            Err(error) => {
                return tracing::error!(%error, "the definition of review_merge_request cannot be read");
            }
        };
        let watch = ExecutableWatch { executable, tool, registration };
        watch.advertise();
        if let Some(interval) = context.check_interval {
            context.shutdown.spawn(watch.run(interval, context.shutdown.clone()));
        }
    }
}

/// The check at intervals whether the executable still exists.
struct ExecutableWatch {
    executable: PathBuf,
    tool: CatalogEntry,
    registration: Box<dyn Registration>,
}

impl ExecutableWatch {
    fn advertise(&self) {
        tracing::info!(command = %self.executable.display(), "review_merge_request is offered");
        self.registration.ready(BackendReport::of_tools(vec![self.tool.clone()]));
    }

    async fn run(self, interval: Duration, shutdown: ShutdownGroup) {
        let mut present = true;
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = shutdown.wait() => return,
            }
            let now = is_executable(&self.executable);
            metrics::record_backend_probe(
                NAME,
                if now { ProbeOutcome::Answered } else { ProbeOutcome::Missed },
            );
            if now == present {
                continue;
            }
            present = now;
            if present {
                self.advertise();
            } else {
                let reason = format!("{} is no executable file any more", self.executable.display());
                tracing::warn!("review_merge_request is not offered: {reason}");
                self.registration.down(BackendState::Failed { reason });
            }
        }
    }
}

#[cfg(test)]
mod tests;
