//! Runs what the mode says until a signal: configuration, logs, shutdown, and the exit code of whatever fails.

use anyhow::Context;
use proxy::config::ProxyConfig;
use runtime::audit::Audit;
use runtime::config::CommonConfig;
use runtime::env::{Problems, Snapshot, misspelt};
use runtime::shutdown::Shutdown;
use runtime::telemetry;
use runtime::traces::Traces;
use slave::config::{Role, SlaveConfig};

use crate::mode::Mode;
use crate::reference::TABLES;

const VERSION: &str = env!("CARGO_PKG_VERSION");

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
            let (shutdown, told) = begin(mode, &loaded.config.common, (loaded.warnings, snapshot))?;
            let ended = proxy::run(loaded.config, shutdown).await.context("the proxy cannot run");
            told.finish().await;
            Ok(ended?)
        }
        Mode::Slave => serve_tools(mode, Role::Slave, snapshot).await,
        Mode::Standalone => serve_tools(mode, Role::Standalone, snapshot).await,
    }
}

async fn serve_tools(mode: Mode, role: Role, snapshot: &Snapshot) -> Result<(), Stop> {
    let loaded = SlaveConfig::load(snapshot, role)?;
    let (shutdown, told) = begin(mode, &loaded.config.common, (loaded.warnings, snapshot))?;
    let ended = slave::run(loaded.config, shutdown).await;
    told.finish().await;
    match ended {
        Ok(()) => Ok(()),
        // The file that a variable names is part of the configuration.
        Err(slave::RunError::Backends(error)) => {
            Err(Stop::Config(format!("SLAVE_BACKENDS cannot be used: {error}")))
        }
        Err(error) => Err(Stop::Failed(anyhow::Error::new(error).context("the slave cannot run"))),
    }
}

/// What is told of this process beside its log.
struct Told {
    audit: Option<Audit>,
    traces: Option<Traces>,
}

/// Sets up logs, audit and traces, tells the warnings, and listens for signals.
fn begin(
    mode: Mode,
    common: &CommonConfig,
    (warnings, snapshot): (Vec<String>, &Snapshot),
) -> Result<(Shutdown, Told), Stop> {
    telemetry::init(mode.service(), &common.log).context("the log cannot be set up")?;
    for warning in warnings.into_iter().chain(misspelt(snapshot, &TABLES)) {
        tracing::warn!("{warning}");
    }
    let audit = common.audit.as_ref().map(|config| Audit::start(config, mode.service(), VERSION));
    let audit = audit.transpose().map_err(|error| Stop::Config(error.to_string()))?;
    let of = (mode.traced_as(), VERSION);
    let traces = common.traces.as_ref().map(|config| Traces::start(config, of)).transpose();
    let traces = traces.context("traces cannot be set up")?;
    let shutdown = Shutdown::on_signals(common.shutdown_delay, common.shutdown_grace)
        .context("cannot listen for signals")?;
    Ok((shutdown, Told { audit, traces }))
}

impl Told {
    /// Writes and sends what is left.
    async fn finish(self) {
        if let Some(audit) = self.audit {
            audit.finish().await;
        }
        if let Some(traces) = self.traces {
            traces.finish().await;
        }
    }
}
