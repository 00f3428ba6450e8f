//! The file of `SLAVE_TOOLS`, which is watched while the slave runs. Must not know how tools are run.

use std::path::{Path, PathBuf};

use runtime::follow::{ReloadSignal, WatchedFile};

use crate::backends::commands::file::{self, ToolsFile, ToolsFileError};
use crate::config::{SlaveConfig, Strictness};
use crate::executor::Executor;
use crate::metrics::{self, ConfigFile};

/// The file of `SLAVE_TOOLS`, as read at the start.
pub(super) struct ReadTools {
    path: PathBuf,
    content: Vec<u8>,
    strictness: Strictness,
    pub(super) file: ToolsFile,
}

impl ReadTools {
    /// Reads the file, if one is configured. `${NAME}` in it stands for an environment variable of the process.
    pub(super) fn read(config: &SlaveConfig) -> Result<Option<Self>, ToolsFileError> {
        let Some(path) = config.tools_file.clone() else { return Ok(None) };
        let (content, strictness) = (std::fs::read(&path), config.strictness);
        let file = tools(&path, &content, strictness)?;
        Ok(Some(Self { path, content: content.unwrap_or_default(), strictness, file }))
    }

    /// Logs what is wrong with the file, and sets the metric of it.
    pub(super) fn report(&self) {
        report(&self.path, &self.file);
    }

    /// Applies each change of the file, until the future is dropped. A file that cannot be used changes nothing; a tool that cannot
    /// be used leaves the one of before.
    pub(super) async fn follow(self, reload: ReloadSignal, executor: Executor) {
        let mut watched = WatchedFile::new(&self.path, Some(&self.content), reload);
        drop(self.content);
        loop {
            let content = watched.changed().await;
            match tools(&self.path, &content, self.strictness) {
                Ok(file) => {
                    report(&self.path, &file);
                    let replaced = executor.set_tools(file.tools, &file.refused);
                    tracing::info!("Tools read again from {}: {replaced}", self.path.display());
                    ConfigFile::Tools.record_reload();
                }
                Err(error) => {
                    tracing::error!("SLAVE_TOOLS cannot be used, the tools of before stay: {error}");
                    ConfigFile::Tools.record_failed_reload();
                }
            }
        }
    }
}

fn report(path: &Path, file: &ToolsFile) {
    metrics::set_refused(ConfigFile::Tools, file.refused.len());
    let path = path.display();
    for problem in &file.problems {
        tracing::warn!(
            "SLAVE_TOOLS, {path}: {problem}: the tool is left out (SLAVE_STRICT=1 refuses the whole file)"
        );
    }
    for warning in &file.warnings {
        tracing::warn!("SLAVE_TOOLS, {path}: {warning}");
    }
}

fn tools(
    path: &Path,
    content: &std::io::Result<Vec<u8>>,
    strictness: Strictness,
) -> Result<ToolsFile, ToolsFileError> {
    file::read(path, content.as_deref(), strictness, |name| std::env::var(name).ok())
}
