//! Runs what the mode says until a signal: configuration, logs, shutdown, and the exit code of whatever fails.

use anyhow::Context;
use proxy::config::ProxyConfig;
use runtime::config::CommonConfig;
use runtime::env::{Problems, Snapshot, misspelt};
use runtime::shutdown::Shutdown;
use runtime::telemetry;
use runtime::traces::Traces;
use slave::config::{Role, SlaveConfig};

use crate::mode::Mode;
use crate::reference::TABLES;

/// Why a server did not start or did not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The configuration needs correction; nothing was started.
    Config(String),
    /// It failed at run time.
    Failed(anyhow::Error),
}

impl From<Problems> for Stop {
    fn from(problems: Problems) -> Self {
        Self::Config(problems.to_string())
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs until a signal. `Ok` means that it ended as asked.
pub(crate) async fn run(mode: Mode, snapshot: &Snapshot) -> Result<(), Stop> {
    match mode {
        Mode::Proxy => {
            let loaded = ProxyConfig::load(snapshot)?;
            let (shutdown, traces) = begin(mode, &loaded.config.common, (loaded.warnings, snapshot))?;
            let ended = proxy::run(loaded.config, shutdown).await.context("the proxy cannot run");
            finish(traces).await;
            Ok(ended?)
        }
        Mode::Slave => serve_tools(mode, Role::Slave, snapshot).await,
        Mode::Standalone => serve_tools(mode, Role::Standalone, snapshot).await,
    }
}

async fn serve_tools(mode: Mode, role: Role, snapshot: &Snapshot) -> Result<(), Stop> {
    let loaded = SlaveConfig::load(snapshot, role)?;
    let (shutdown, traces) = begin(mode, &loaded.config.common, (loaded.warnings, snapshot))?;
    let ended = slave::run(loaded.config, shutdown).await;
    finish(traces).await;
    match ended {
        Ok(()) => Ok(()),
        // The file that a variable names is part of the configuration.
        Err(slave::RunError::Backends(error)) => {
            Err(Stop::Config(format!("SLAVE_BACKENDS cannot be used: {error}")))
        }
        Err(error) => Err(Stop::Failed(anyhow::Error::new(error).context("the slave cannot run"))),
    }
}

/// Sets up logs and traces, tells the warnings, and listens for signals.
fn begin(
    mode: Mode,
    common: &CommonConfig,
    told: (Vec<String>, &Snapshot),
) -> anyhow::Result<(Shutdown, Option<Traces>)> {
    telemetry::init(mode.service(), &common.log)?;
    let (warnings, snapshot) = told;
    for warning in warnings.into_iter().chain(misspelt(snapshot, &TABLES)) {
        tracing::warn!("{warning}");
    }
    let of = (mode.traced_as(), env!("CARGO_PKG_VERSION"));
    let traces = common.traces.as_ref().map(|config| Traces::start(config, of)).transpose()?;
    let shutdown = Shutdown::on_signals(common.shutdown_delay, common.shutdown_grace)
        .context("cannot listen for signals")?;
    Ok((shutdown, traces))
}

/// Sends the last spans.
async fn finish(traces: Option<Traces>) {
    if let Some(traces) = traces {
        traces.finish().await;
    }
}
