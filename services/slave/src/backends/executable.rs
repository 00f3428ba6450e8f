//! Finding executable files as the system would. Must not know what they are.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Returns whether the path is an executable file.
pub(super) fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Returns the executable file that a command names; commands without `/` are searched on PATH.
pub(super) fn find(command: &str) -> Option<PathBuf> {
    find_on(command, std::env::var_os("PATH").as_deref())
}

/// Returns the executable file that a command names; commands without `/` are searched on `path`.
pub(super) fn find_on(command: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    if command.contains('/') {
        return Some(PathBuf::from(command)).filter(|path| is_executable(path));
    }
    std::env::split_paths(path?).map(|directory| directory.join(command)).find(|path| is_executable(path))
}
