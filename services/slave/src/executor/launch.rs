//! The start of every configured backend: registers it and begins to run it. Must not know calls.

use std::sync::Arc;

use super::command_tools::CommandTools;
use super::config::ExecutorConfig;
use super::registry::{BackendRegistry, NewBackend};
use super::stdio_servers::StdioServers;
use crate::backends::demo::Demo;
use crate::backends::{BackendContext, Curation, Registration, ShutdownGroup, pilot};
use crate::client_streams::ClientStreams;
use crate::launcher::has_landlock;

/// The backends of a slave.
pub(super) struct Started {
    /// The signal that stops them.
    pub(super) shutdown: ShutdownGroup,
    pub(super) servers: StdioServers,
    /// `None`: no tools file is configured.
    pub(super) tools: Option<CommandTools>,
}

/// Registers every configured backend and starts it in the background. With a probe tool configured there is no other
/// backend.
pub(super) fn start_backends(
    config: ExecutorConfig,
    registry: &Arc<BackendRegistry>,
    streams: ClientStreams,
) -> Started {
    let context =
        BackendContext::new(&config.secrets, config.max_output, config.timing.check, config.log_capture)
            .with_launcher(config.launcher)
            .with_ways(config.ways)
            .with_identity_tokens(config.identity_tokens)
            .with_streams(streams);
    let shutdown = context.shutdown.clone();
    let servers = StdioServers::new(Arc::clone(registry), context.clone(), config.timing);
    if let Some(name) = config.probe_tool {
        start_demo(registry, "probe", Demo::probe(shutdown.clone(), name));
        return Started { shutdown, servers, tools: None };
    }
    if !config.servers.is_empty() {
        warn_of_missing_confinement(context.is_launched());
    }
    servers.start(config.servers);
    let tools = config.tools.map(|tools| CommandTools::start(registry, tools, &context));
    if let Some((backend, offer)) = pilot::prepare(config.pilot, &context) {
        let curation = Curation::default();
        let id = registry.add(NewBackend { name: pilot::NAME.into(), backend, history: None, curation });
        offer.publish(Box::new(registry.registration(id)), &context);
    }
    if config.demo_tools {
        start_demo(registry, "demo", Demo::new(shutdown.clone()));
    }
    Started { shutdown, servers, tools }
}

/// Says what keeps backends apart elsewhere and does not here.
fn warn_of_missing_confinement(launched: bool) {
    if !launched {
        tracing::warn!(
            "Backends are not confined on this system: they can read each other's environment, and what they started may outlive this process (docs/secure/confinement.md)"
        );
    } else if !has_landlock() {
        tracing::warn!(
            "Landlock is not available: backends of one user can read each other's environment (docs/secure/confinement.md)"
        );
    }
}

fn start_demo(registry: &Arc<BackendRegistry>, name: &str, demo: Demo) {
    let report = demo.report();
    let id = registry.add(NewBackend {
        name: name.into(),
        backend: Arc::new(demo),
        history: None,
        curation: Curation::default(),
    });
    registry.registration(id).ready(report);
}
