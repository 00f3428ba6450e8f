//! `mcp-relay proxy`, `mcp-relay slave` and the standalone server: loads the configuration, sets up logs, audit and traces,
//! and runs the service until a signal. Must not know what a service does.

use anyhow::Context;
use proxy::Setup;
use runtime::audit::Audit;
use runtime::call_lines;
use runtime::config::CommonConfig;
use runtime::env::{Snapshot, misspelt};
use runtime::service_manager::{self, Informing};
use runtime::shutdown::Shutdown;
use runtime::telemetry;
use runtime::traces::Traces;
use slave::config::{Role, SlaveConfig};

use crate::command_error::CommandError;
use crate::mode::Mode;
use crate::reference::TABLES;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs the service of `mode` until a signal. `Ok` means that it ended as asked.
pub(crate) async fn run(mode: Mode, snapshot: &Snapshot) -> Result<(), CommandError> {
    match mode {
        Mode::Proxy => {
            let loaded = Setup::load(snapshot)?;
            let common = &loaded.config.config.common;
            let exporters = Exporters::start(mode, common, &loaded.warnings, snapshot)?;
            let shutdown = on_signals(common)?;
            let _informing = inform(snapshot, &shutdown)?;
            let result = Box::pin(proxy::run(loaded.config, shutdown)).await.context("the proxy cannot run");
            exporters.finish().await;
            Ok(result?)
        }
        Mode::Slave => serve_tools(mode, Role::Slave, snapshot).await,
        Mode::Standalone => serve_tools(mode, Role::Standalone, snapshot).await,
    }
}

async fn serve_tools(mode: Mode, role: Role, snapshot: &Snapshot) -> Result<(), CommandError> {
    let mut loaded = SlaveConfig::load(snapshot, role)?;
    loaded.config.launcher = slave::launcher::this_program();
    let exporters = Exporters::start(mode, &loaded.config.common, &loaded.warnings, snapshot)?;
    if let Err(error) = slave::launcher::hide_this_process() {
        tracing::warn!("backends of this user can read the environment of this process: {error}");
    }
    let shutdown = on_signals(&loaded.config.common)?;
    let _informing = inform(snapshot, &shutdown)?;
    let result = Box::pin(slave::run(loaded.config, shutdown)).await;
    exporters.finish().await;
    match result {
        Ok(()) => Ok(()),
        // The file that a variable names is part of the configuration.
        Err(slave::RunError::Backends(error)) => {
            Err(CommandError::Config(format!("SLAVE_BACKENDS cannot be used: {error}")))
        }
        Err(slave::RunError::Tools(error)) => {
            Err(CommandError::Config(format!("SLAVE_TOOLS cannot be used: {error}")))
        }
        Err(error @ slave::RunError::IdentityKeys { .. }) => Err(CommandError::Config(error.to_string())),
        Err(error) => Err(CommandError::Failed(anyhow::Error::new(error).context("the slave cannot run"))),
    }
}

fn on_signals(common: &CommonConfig) -> Result<Shutdown, CommandError> {
    let shutdown = Shutdown::on_signals(common.shutdown_delay, common.shutdown_grace);
    Ok(shutdown.context("cannot listen for signals")?)
}

/// Keeps the service manager informed until the returned handle is dropped.
fn inform(snapshot: &Snapshot, shutdown: &Shutdown) -> Result<Informing, CommandError> {
    Ok(service_manager::inform(snapshot, shutdown).context("cannot listen for SIGHUP")?)
}

/// The log of this process, and its audit log and trace exporter where they are configured.
struct Exporters {
    audit: Option<Audit>,
    traces: Option<Traces>,
}

impl Exporters {
    /// Sets up the log with the warnings of the configuration, the audit log and the trace exporter.
    fn start(
        mode: Mode,
        common: &CommonConfig,
        warnings: &[String],
        snapshot: &Snapshot,
    ) -> Result<Self, CommandError> {
        // Before the log, whose subscriber also exports spans.
        let start = |config| Traces::start(config, mode.traced_as(), VERSION);
        let traces = common.traces.as_ref().map(start).transpose();
        let traces = traces.context("traces cannot be set up")?;
        if common.ops.ui.is_on() {
            telemetry::keep_lines();
        }
        telemetry::init(mode.service(), &common.log).context("the log cannot be set up")?;
        let of_mode = mode.warnings(snapshot);
        for warning in of_mode.into_iter().chain(warnings.iter().cloned()).chain(misspelt(snapshot, &TABLES))
        {
            tracing::warn!("{warning}");
        }
        let audit = common.audit.as_ref().map(|config| Audit::start(config, mode.service(), VERSION));
        let audit = audit.transpose().map_err(|error| CommandError::Config(error.to_string()))?;
        if let Some(traces) = &traces {
            traces.announce();
        }
        Ok(Self { audit, traces })
    }

    /// Writes and sends what is still buffered.
    async fn finish(self) {
        call_lines::flush();
        if let Some(audit) = self.audit {
            audit.finish().await;
        }
        if let Some(traces) = self.traces {
            traces.finish().await;
        }
    }
}
