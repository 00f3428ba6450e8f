//! Files of the configuration that are watched while the slave runs: its backends and its code. Must not know how their
//! content is used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::{PolicyFile, PolicyStore, Reload, Side};
use runtime::follow::{ReloadSignal, WatchedFile};
use tokio_util::task::AbortOnDropHandle;

use crate::backends::servers_file::{self, ServersFile, ServersFileError};
use crate::config::{CodeSource, SlaveConfig, Strictness, code_of_file};
use crate::executor::Executor;
use crate::link::Links;
use crate::metrics::{self, ConfigFile};

/// The file of `SLAVE_BACKENDS`, as read at the start.
pub(super) struct BackendsFile {
    path: PathBuf,
    content: Vec<u8>,
    strictness: Strictness,
    pub(super) file: ServersFile,
}

impl BackendsFile {
    /// Reads the file, if one is configured. `${NAME}` in it stands for an environment variable of the process.
    pub(super) fn read(config: &SlaveConfig) -> Result<Option<Self>, ServersFileError> {
        let Some(path) = config.backends_file.clone() else { return Ok(None) };
        let (content, strictness) = (std::fs::read(&path), config.strictness);
        let file = servers(&path, &content, strictness)?;
        Ok(Some(Self { path, content: content.unwrap_or_default(), strictness, file }))
    }

    /// Logs what is wrong with the file, and sets the metric of it.
    pub(super) fn report(&self) {
        report(&self.path, &self.file);
    }

    /// Applies each change of the file, until the future is dropped. A file that cannot be used changes nothing; an entry that
    /// cannot be used leaves the server of before.
    pub(super) async fn follow(self, reload: ReloadSignal, executor: Executor) {
        let mut watched = WatchedFile::new(&self.path, Some(&self.content), reload);
        drop(self.content);
        loop {
            let content = watched.changed().await;
            match servers(&self.path, &content, self.strictness) {
                Ok(file) => {
                    report(&self.path, &file);
                    let replaced = executor.set_servers(file.servers, &file.refused);
                    tracing::info!("Backends read again from {}: {replaced}", self.path.display());
                    ConfigFile::Backends.record_reload();
                }
                Err(error) => {
                    tracing::error!("SLAVE_BACKENDS cannot be used, the backends of before stay: {error}");
                    ConfigFile::Backends.record_failed_reload();
                }
            }
        }
    }
}

fn report(path: &Path, file: &ServersFile) {
    metrics::set_refused(ConfigFile::Backends, file.refused.len());
    let path = path.display();
    for problem in &file.problems {
        tracing::warn!(
            "SLAVE_BACKENDS, {path}: {problem}: the entry is left out (SLAVE_STRICT=1 refuses the whole file)"
        );
    }
    for warning in &file.warnings {
        tracing::warn!("SLAVE_BACKENDS, {path}: {warning}");
    }
}

fn servers(
    path: &Path,
    content: &std::io::Result<Vec<u8>>,
    strictness: Strictness,
) -> Result<ServersFile, ServersFileError> {
    servers_file::read(path, content.as_deref(), strictness, |name| std::env::var(name).ok())
}

/// Puts the policy of `SLAVE_POLICY` in force, and follows its file until the handle is dropped.
pub(super) fn follow_policy(
    file: Option<&PolicyFile>,
    reload: &ReloadSignal,
) -> (Option<PolicyStore>, Option<AbortOnDropHandle<()>>) {
    let Some(file) = file else { return (None, None) };
    tracing::info!(rules = file.policy.rules(), "Policy read from {}", file.path.display());
    let store = PolicyStore::new(Arc::clone(&file.policy));
    let watched = WatchedFile::new(&file.path, Some(&file.content), reload.clone());
    let current = store.clone();
    let apply = move |changed, outcome| {
        match outcome {
            Reload::Gone => ConfigFile::Policy.record_failed_reload(),
            Reload::Applied | Reload::Refused => ConfigFile::Policy.record_reload(),
        }
        current.replace(changed);
    };
    let refused = || ConfigFile::Policy.record_failed_reload();
    let follow = policy::follow("SLAVE_POLICY", watched, Side::Slave, apply, refused);
    (Some(store), Some(AbortOnDropHandle::new(tokio::spawn(follow))))
}

/// The watched file of `SLAVE_CODE_FILE`.
pub(super) struct CodeFile(WatchedFile);

impl CodeFile {
    /// Watches for changes of the content that the configuration was read with.
    pub(super) fn new(source: CodeSource, reload: ReloadSignal) -> Self {
        Self(WatchedFile::new(source.path, Some(source.content.expose().as_bytes()), reload))
    }

    /// Applies each change of the code, until the future is dropped.
    pub(super) async fn follow(mut self, links: Arc<Links>) {
        loop {
            let unreadable = |error| format!("a readable file ({})", runtime::io_fault::describe(&error));
            let content = self.0.changed().await.map_err(unreadable);
            match content.and_then(|content| code_of_file(&content)) {
                Ok(code) if code.expose() == links.code.load().secret.expose() => {
                    tracing::info!("SLAVE_CODE_FILE was read again: the code is the same");
                    ConfigFile::Code.record_reload();
                }
                Ok(code) => {
                    links.change_code(code);
                    tracing::info!("SLAVE_CODE_FILE was read again: links are renewed with the changed code");
                    ConfigFile::Code.record_reload();
                }
                Err(why) => {
                    let path = self.0.path().display();
                    tracing::error!(
                        "SLAVE_CODE_FILE cannot be used, the code of before stays: {path}: expected {why}"
                    );
                    ConfigFile::Code.record_failed_reload();
                }
            }
        }
    }
}
