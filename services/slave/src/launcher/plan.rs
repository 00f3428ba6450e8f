//! The plan of a launcher: what a backend is confined to, and whose life it shares. Written by the slave, read by its own
//! launcher of the same version. Must not know how it is applied.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Name of the subcommand that is the launcher.
pub const SUBCOMMAND: &str = "exec-backend";

/// Option with the plan of the guard.
pub(super) const PLAN: &str = "--plan";

/// Option with the plan of the guard, once huge pages are off for it.
pub(super) const GUARD: &str = "--guard";

/// Option with the plan of the confined stage.
pub(super) const CONFINED: &str = "--confined";

/// Name of the launcher's process in lists of processes.
pub(super) const PROCESS_NAME: &str = "mcp-relay";

/// The running program, also where its file was replaced meanwhile.
pub(super) const OWN_PROGRAM: &str = "/proc/self/exe";

/// Exit code of a launcher that could not start its backend; the reason stands on standard error, behind
/// [`ERROR_PREFIX`].
pub(crate) const START_FAILED: u8 = 125;

/// Beginning of the launcher's own lines on standard error.
pub(crate) const ERROR_PREFIX: &str = "mcp-relay exec-backend: ";

/// The confinement of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confinement {
    /// None: the backend only ends with its slave (`"confine": false`).
    Off,
    /// The defaults, and these rules.
    On(Rules),
}

impl Default for Confinement {
    /// Returns the defaults without further rules.
    fn default() -> Self {
        Self::On(Rules::default())
    }
}

impl Confinement {
    /// Returns the confinement with further paths that may be read, if files are restricted.
    pub(crate) fn with_readable(mut self, paths: Vec<PathBuf>) -> Self {
        if let Self::On(Rules { files: Some(files), .. }) = &mut self {
            files.read.extend(paths);
        }
        self
    }

    /// Returns the confinement with a further folder that may be changed, if files are restricted.
    pub(crate) fn with_writable(mut self, path: PathBuf) -> Self {
        if let Self::On(Rules { files: Some(files), .. }) = &mut self {
            files.write.push(path);
        }
        self
    }

    /// Returns whether an entry asks for more than the defaults.
    pub(crate) fn has_rules(&self) -> bool {
        matches!(self, Self::On(rules) if *rules != Rules::default())
    }
}

/// The rules that an entry asks for (`confine`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Resource limits of each process.
    pub limits: Limits,
    /// The user that the backend runs as; the slave must be privileged.
    pub uid: Option<u32>,
    /// The group that the backend runs as; without it, the number of `uid`.
    pub gid: Option<u32>,
    /// Access to files by Landlock; `None`: as the user has it.
    pub files: Option<FileAccess>,
    /// TCP ports by Landlock.
    pub ports: PortAccess,
}

/// Resource limits (setrlimit); `None`: as the slave has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of writable private memory (`RLIMIT_DATA`).
    pub memory: Option<u64>,
    /// Open file descriptors (`RLIMIT_NOFILE`).
    pub files: Option<u64>,
    /// Processes and threads of the user (`RLIMIT_NPROC`).
    pub processes: Option<u64>,
    /// Seconds of CPU time (`RLIMIT_CPU`).
    pub cpu: Option<u64>,
}

/// The files and folders that a backend may use, besides the system's programs and libraries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAccess {
    /// May be read and executed, with all below.
    pub read: Vec<PathBuf>,
    /// May be read, executed and changed, with all below.
    pub write: Vec<PathBuf>,
}

/// The TCP ports that a backend may use; `None`: any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortAccess {
    /// Ports to connect to.
    pub connect: Option<Vec<u16>>,
    /// Ports to listen on.
    pub bind: Option<Vec<u16>>,
}

/// The plan of one stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The process whose end ends this one; `None`: none.
    pub(super) parent: Option<i32>,
    /// What the backend gets in place of the guard's own setting.
    #[serde(default)]
    pub(super) huge_pages: HugePages,
    /// The confinement of the backend.
    pub(super) confinement: Confinement,
}

/// Transparent huge pages of a process (`PR_SET_THP_DISABLE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum HugePages {
    /// As the system has them.
    #[default]
    System,
    /// Off, as the slave's own starter has them.
    Off,
    /// As the system has them, though the slave and its launchers have turned them off for themselves.
    OnAgain,
}

/// A command with its arguments.
pub(super) struct CommandLine {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
}
