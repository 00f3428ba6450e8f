//! Files of the configuration that are followed while the slave runs: its backends and its code. Must not know what
//! becomes of what they say.

use std::path::PathBuf;
use std::sync::Arc;

use runtime::follow::{ReloadSignal, WatchedFile};

use crate::backends::servers_file::{self, ServersFileError};
use crate::backends::stdio::StdioServer;
use crate::config::{CodeSource, SlaveConfig, code_of_file};
use crate::executor::Executor;
use crate::link::Links;
use crate::metrics::ConfigFile;

/// `SLAVE_BACKENDS` as it was at the start.
pub(super) struct BackendsFile {
    path: PathBuf,
    content: Vec<u8>,
    pub(super) servers: Vec<StdioServer>,
}

impl BackendsFile {
    /// Reads it, if there is one. `${NAME}` in it stands for a variable of the process.
    pub(super) fn read(config: &SlaveConfig) -> Result<Option<Self>, ServersFileError> {
        let Some(path) = config.backends_file.clone() else { return Ok(None) };
        let content = std::fs::read(&path);
        let servers = servers(&path, &content)?;
        Ok(Some(Self { path, content: content.unwrap_or_default(), servers }))
    }

    /// Runs what the file says whenever it says something else, until it is dropped. A file that cannot be used
    /// changes nothing.
    pub(super) async fn follow(self, hangups: ReloadSignal, executor: Executor) {
        let mut file = WatchedFile::new(&self.path, Some(&self.content), hangups);
        drop(self.content);
        loop {
            let content = file.changed().await;
            match servers(&self.path, &content) {
                Ok(servers) => {
                    let replaced = executor.set_servers(servers);
                    tracing::info!("Backends read again from {}: {replaced}", self.path.display());
                    ConfigFile::Backends.reloaded();
                }
                Err(error) => {
                    tracing::error!("SLAVE_BACKENDS cannot be used, the backends of before stay: {error}");
                    ConfigFile::Backends.unusable();
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

/// `SLAVE_CODE_FILE`, followed.
pub(super) struct CodeFile(WatchedFile);

impl CodeFile {
    /// From what the file said when the configuration was read.
    pub(super) fn new(source: CodeSource, hangups: ReloadSignal) -> Self {
        Self(WatchedFile::new(source.path, Some(source.content.expose().as_bytes()), hangups))
    }

    /// Uses the code that the file says whenever it says something else, until it is dropped.
    pub(super) async fn follow(mut self, links: Arc<Links>) {
        loop {
            let content = self.0.changed().await.map_err(|error| error.to_string());
            match content.and_then(|content| code_of_file(&content)) {
                Ok(code) if code.expose() == links.code.load().secret.expose() => {
                    tracing::info!("SLAVE_CODE_FILE was read again: the code is the same");
                    ConfigFile::Code.reloaded();
                }
                Ok(code) => {
                    tracing::info!("SLAVE_CODE_FILE was read again: links are renewed with the changed code");
                    ConfigFile::Code.reloaded();
                    links.change_code(code);
                }
                Err(why) => {
                    let path = self.0.path().display();
                    tracing::error!(
                        "SLAVE_CODE_FILE cannot be used, the code of before stays: {path}: expected {why}"
                    );
                    ConfigFile::Code.unusable();
                }
            }
        }
    }
}
