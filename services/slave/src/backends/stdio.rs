//! Stdio MCP servers as child processes.

use std::path::PathBuf;

use runtime::secret::Secret;

/// One entry of an `mcpServers` file, checked and with its variables filled in.
#[derive(Debug)]
pub struct StdioServer {
    /// Its key in the file.
    pub name: String,
    /// Executable: a path, or a name to be found on PATH.
    pub command: String,
    /// Arguments as they are given to the executable; no shell reads them.
    pub args: Vec<String>,
    /// Variables in addition to [`super::environment::SAFE`]. All values count as secrets.
    pub env: Vec<(String, Secret)>,
    /// Working directory; unset: the slave's own.
    pub cwd: Option<PathBuf>,
}
