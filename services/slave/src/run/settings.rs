//! Translates the configuration into the settings of the slave's parts. Must not check values: they are checked already.

use std::collections::BTreeMap;
use std::path::PathBuf;

use policy::PolicyStore;
use protocol::link::handshake::{PROTOCOL_NAME, REVIEW_DEFAULTS, SlaveHello, VERSIONS};
use protocol::link::ids::InstanceId;
use protocol::link::limits::{DEFAULT_WINDOW, LinkLimits};
use protocol::mcp::failure::explain_outcome;
use runtime::activity::Activity;
use runtime::env::{Snapshot, parse};
use url::Url;

use crate::backends::commands::file::{self, ToolsFile, ToolsFileError};
use crate::backends::history::LogCapture;
use crate::backends::pilot::{Comments, PilotConfig, ReviewPolicy};
use crate::backends::servers_file::{self, ServersFile, ServersFileError};
use crate::backends::stdio::StdioTiming;
use crate::config::{SlaveConfig, Strictness};
use crate::executor::ExecutorConfig;
use crate::launcher::Launcher;
use crate::retention::RetentionLimits;

use super::error::RunError;
use super::files::BackendsFile;
use super::identity_keys;
use super::tools_file::ReadTools;

/// Bytes of a label's value.
const MAX_LABEL: usize = 255;

/// Returns the executor's settings, with the backends of `SLAVE_BACKENDS` and the tools of `SLAVE_TOOLS` as the files are now.
pub fn executor_config(config: &SlaveConfig) -> Result<ExecutorConfig, RunError> {
    let (servers, tools) = (BackendsFile::read(config)?, ReadTools::read(config)?);
    let settings = executor(config, servers.as_ref(), tools.as_ref(), None);
    Ok(ExecutorConfig { identity_tokens: identity_keys::signer(config)?, ..settings })
}

/// Returns the content of the file of `SLAVE_BACKENDS` as it is now, for whoever checks it; nothing where none is configured.
pub fn backends_file(config: &SlaveConfig) -> Result<ServersFile, ServersFileError> {
    Ok(BackendsFile::read(config)?.map(|read| read.file).unwrap_or_default())
}

/// Returns the HTTP servers of the `SLAVE_BACKENDS` file by their names; none where the file cannot be read.
pub fn http_servers(config: &SlaveConfig) -> Vec<(String, Url)> {
    let file = backends_file(config).unwrap_or_default();
    let remote = file.servers.into_iter().filter_map(|server| Some((server.name, server.remote?.url)));
    remote.collect()
}

/// Returns the content of the file that `SLAVE_BACKENDS` of `snapshot` names, also where other variables cannot be used. Nothing
/// where none is named, or where it is no readable file: that is a problem of the variable.
pub fn backends_file_of(snapshot: &Snapshot) -> Option<Result<ServersFile, ServersFileError>> {
    let path = PathBuf::from(snapshot.get("SLAVE_BACKENDS")?);
    let content = std::fs::read(&path).ok()?;
    let variable = |name: &str| snapshot.get(name).map(str::to_owned);
    Some(servers_file::read(&path, Ok(&content), strictness_of(snapshot), variable))
}

/// Returns the content of the file of `SLAVE_TOOLS` as it is now, for whoever checks it; nothing where none is configured.
pub fn tools_file(config: &SlaveConfig) -> Result<ToolsFile, ToolsFileError> {
    Ok(ReadTools::read(config)?.map(|read| read.file).unwrap_or_default())
}

/// Returns the content of the file that `SLAVE_TOOLS` of `snapshot` names, as [`backends_file_of`] does.
pub fn tools_file_of(snapshot: &Snapshot) -> Option<Result<ToolsFile, ToolsFileError>> {
    let path = PathBuf::from(snapshot.get("SLAVE_TOOLS")?);
    let content = std::fs::read(&path).ok()?;
    let variable = |name: &str| snapshot.get(name).map(str::to_owned);
    Some(file::read(&path, Ok(&content), strictness_of(snapshot), variable))
}

fn strictness_of(snapshot: &Snapshot) -> Strictness {
    let strict = snapshot.get("SLAVE_STRICT").and_then(|text| parse::flag(text).ok());
    if strict == Some(true) { Strictness::File } else { Strictness::Entry }
}

/// Returns the executor's settings.
pub(super) fn executor(
    config: &SlaveConfig,
    file: Option<&BackendsFile>,
    tools: Option<&ReadTools>,
    policy: Option<PolicyStore>,
) -> ExecutorConfig {
    let servers = file.map(|read| read.file.servers.clone()).unwrap_or_default();
    let pilot = &config.mr_pilot;
    let code = config.link.iter().map(|link| link.code.clone());
    ExecutorConfig {
        servers,
        tools: tools.map(|read| read.file.tools.clone()),
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
        policy,
        capacity: usize::try_from(config.capacity).unwrap_or(usize::MAX),
        max_output: config.max_output_bytes,
        activity: Activity::new("backend", config.common.ops.ui.is_on().into()).explained_by(explain_outcome),
        log_capture: if config.common.ops.ui.is_on() { LogCapture::LastLines } else { LogCapture::Off },
        timing: StdioTiming {
            check: config.probe_interval,
            start: config.backend_start,
            wait: config.backend_wait,
            ..StdioTiming::default()
        },
        retention: RetentionLimits { time: config.retention_time, bytes: config.retention_bytes },
        launcher: config.launcher.clone().map_or(Launcher::Absent, Launcher::Program),
        ways: config.common.ways.clone(),
        identity_tokens: None,
        parked_ttl: config.parked_ttl,
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
        labels: labels(config),
        capacity: config.capacity,
        // 100 is the default, and left out of the handshake.
        weight: if config.weight == 100 { 0 } else { config.weight },
        window: DEFAULT_WINDOW,
        seat: seat.map(str::to_owned),
        agent: concat!("mcp-relay/", env!("CARGO_PKG_VERSION")).into(),
        ..SlaveHello::default()
    }
}

/// Returns `SLAVE_LABELS`, and the default project on each platform as a label unless one of that name is set.
fn labels(config: &SlaveConfig) -> BTreeMap<String, String> {
    let defaults = [review_repository(config), review_project(config)];
    let mut labels = config.labels.clone();
    for (name, value) in REVIEW_DEFAULTS.into_iter().zip(defaults) {
        if let Some(value) = value.filter(|value| value.len() <= MAX_LABEL) {
            labels.entry(name.to_owned()).or_insert(value);
        }
    }
    labels
}

/// Returns the repository that mr-pilot takes a bare number as one of: `owner/repo`.
fn review_repository(config: &SlaveConfig) -> Option<String> {
    let repository = config.mr_pilot.env.get("GITHUB_DEFAULT_REPO")?.expose().trim().to_owned();
    (repository.split('/').count() == 2).then_some(repository)
}

/// Returns the project that mr-pilot takes a bare number as one of where there is no repository.
fn review_project(config: &SlaveConfig) -> Option<String> {
    config.mr_pilot.env.get("GITLAB_DEFAULT_PROJECT").map(|project| project.expose().trim().to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Role;

    #[test]
    fn default_projects_are_announced_as_mr_pilot_reads_them() {
        for (variables, expected) in [
            (vec![("SLAVE_LABELS", "a=b")], "a=b"),
            (vec![("GITHUB_DEFAULT_REPO", "o/r")], "github-default=o/r"),
            (
                vec![("GITHUB_DEFAULT_REPO", "o/r/x"), ("GITLAB_DEFAULT_PROJECT", " g/p ")],
                "gitlab-default=g/p",
            ),
            (
                vec![("GITHUB_DEFAULT_REPO", "o/r"), ("SLAVE_LABELS", "github-default=x/y,platform=github")],
                "github-default=x/y platform=github",
            ),
            (vec![("GITLAB_DEFAULT_PROJECT", &*"x".repeat(256))], ""),
        ] {
            let snapshot = Snapshot::of(variables.iter().copied());
            let config = SlaveConfig::load(&snapshot, Role::Standalone).unwrap().config;
            let labels: Vec<String> =
                labels(&config).iter().map(|(key, value)| format!("{key}={value}")).collect();
            assert_eq!(labels.join(" "), expected, "{variables:?}");
        }
    }
}
