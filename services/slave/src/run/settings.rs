//! Translates the configuration into the settings of the slave's parts. Must not check values: they are checked already.

use protocol::link::handshake::{PROTOCOL_NAME, SlaveHello, VERSIONS};
use protocol::link::ids::InstanceId;
use protocol::link::limits::{DEFAULT_WINDOW, LinkLimits};
use runtime::activity::Activity;

use crate::backends::history::LogCapture;
use crate::backends::pilot::{Comments, PilotConfig, ReviewPolicy};
use crate::backends::servers_file::ServersFileError;
use crate::backends::stdio::StdioTiming;
use crate::config::SlaveConfig;
use crate::executor::ExecutorConfig;
use crate::launcher::Launcher;

use super::files::BackendsFile;

/// Returns the executor's settings, with the backends of `SLAVE_BACKENDS` as the file is now.
pub fn executor_config(config: &SlaveConfig) -> Result<ExecutorConfig, ServersFileError> {
    Ok(executor(config, BackendsFile::read(config)?.as_ref()))
}

/// Returns the executor's settings.
pub(super) fn executor(config: &SlaveConfig, file: Option<&BackendsFile>) -> ExecutorConfig {
    let servers = file.map(|file| file.servers.clone()).unwrap_or_default();
    let pilot = &config.mr_pilot;
    let code = config.link.iter().map(|link| link.code.clone());
    ExecutorConfig {
        servers,
        pilot: PilotConfig {
            command: pilot.command.as_ref().map(|path| path.to_string_lossy().into_owned()),
            variables: pilot
                .env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .chain(pilot.more_env.clone())
                .collect(),
            cwd: pilot.cwd.clone(),
            policy: ReviewPolicy {
                hosts: pilot.hosts.clone(),
                comments: if pilot.allow_comment { Comments::Allowed } else { Comments::Refused },
            },
        },
        demo_tools: config.demo_tools,
        probe_tool: config.probe_tool.clone(),
        capacity: usize::try_from(config.capacity).unwrap_or(usize::MAX),
        max_output: config.max_output_bytes,
        activity: Activity::new("backend", config.common.ops.ui.into()),
        log_capture: if config.common.ops.ui { LogCapture::LastLines } else { LogCapture::Off },
        timing: StdioTiming { check: config.probe_interval, ..StdioTiming::default() },
        launcher: config.launcher.clone().map_or(Launcher::Absent, Launcher::Program),
        secrets: code.chain(pilot.secrets()).collect(),
    }
}

/// Returns the slave's part of the handshake. `instance` names this process, `seat` is the name of its lock.
pub(super) fn hello(config: &SlaveConfig, instance: InstanceId, seat: Option<&str>) -> SlaveHello {
    SlaveHello {
        name: PROTOCOL_NAME.into(),
        versions: VERSIONS.to_vec(),
        instance: instance.to_string(),
        slave_name: config.name.clone(),
        labels: config.labels.clone(),
        capacity: config.capacity,
        // 100 is the default, and left out of the handshake.
        weight: if config.weight == 100 { 0 } else { config.weight },
        window: DEFAULT_WINDOW,
        seat: seat.map(str::to_owned),
        agent: concat!("mcp-relay/", env!("CARGO_PKG_VERSION")).into(),
        ..SlaveHello::default()
    }
}

/// Returns the limits that all links share.
pub(super) fn limits(config: &SlaveConfig) -> LinkLimits {
    LinkLimits { journal: config.journal_bytes, ..LinkLimits::default() }
}

/// Returns the largest message, in bytes, of a link of the plain dialect: a client's request, or a backend's answer in its
/// envelope.
pub(super) fn plain_message(config: &SlaveConfig) -> usize {
    const ENVELOPE: usize = 64 * 1024;
    config.common.max_body_bytes.max(config.max_output_bytes).saturating_add(ENVELOPE)
}
