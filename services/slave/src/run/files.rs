//! Files of the configuration that are watched while the slave runs: its backends and its code. Must not know how their
//! content is used.

use std::path::PathBuf;
use std::sync::Arc;

use runtime::follow::{ReloadSignal, WatchedFile};

use crate::backends::servers_file::{self, ServersFileError};
use crate::backends::stdio::StdioServer;
use crate::config::{CodeSource, SlaveConfig, code_of_file};
use crate::executor::Executor;
use crate::link::Links;
use crate::metrics::ConfigFile;

/// The file of `SLAVE_BACKENDS`, as read at the start.
pub(super) struct BackendsFile {
    path: PathBuf,
    content: Vec<u8>,
    pub(super) servers: Vec<StdioServer>,
}

impl BackendsFile {
    /// Reads the file, if one is configured. `${NAME}` in it stands for an environment variable of the process.
    pub(super) fn read(config: &SlaveConfig) -> Result<Option<Self>, ServersFileError> {
        let Some(path) = config.backends_file.clone() else { return Ok(None) };
        let content = std::fs::read(&path);
        let servers = servers(&path, &content)?;
        Ok(Some(Self { path, content: content.unwrap_or_default(), servers }))
    }

    /// Applies each change of the file, until the future is dropped. A file that cannot be used changes nothing.
    pub(super) async fn follow(self, reload: ReloadSignal, executor: Executor) {
        let mut file = WatchedFile::new(&self.path, Some(&self.content), reload);
        drop(self.content);
        loop {
            let content = file.changed().await;
            match servers(&self.path, &content) {
                Ok(servers) => {
                    let replaced = executor.set_servers(servers);
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

fn servers(
    path: &std::path::Path,
    content: &std::io::Result<Vec<u8>>,
) -> Result<Vec<StdioServer>, ServersFileError> {
    let content = content.as_deref().map_err(|error| error.kind().into());
    servers_file::read(path, content, |name| std::env::var(name).ok())
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
            let content = self.0.changed().await.map_err(|error| error.to_string());
            match content.and_then(|content| code_of_file(&content)) {
                Ok(code) if code.expose() == links.code.load().secret.expose() => {
                    tracing::info!("SLAVE_CODE_FILE was read again: the code is the same");
                    ConfigFile::Code.record_reload();
                }
                Ok(code) => {
                    tracing::info!("SLAVE_CODE_FILE was read again: links are renewed with the changed code");
                    ConfigFile::Code.record_reload();
                    links.change_code(code);
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
