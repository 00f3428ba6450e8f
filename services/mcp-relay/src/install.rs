//! `mcp-relay install`: copies the running program into a folder, for images that have no shell. Knows nothing of the program.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// File name of the copy.
const NAME: &str = "mcp-relay";

/// Permissions of the copy: everybody may run it, its owner may replace it.
const MODE: u32 = 0o755;

/// Copies the program into `folder` and returns the path. The file is replaced atomically: readers never see a part.
pub(crate) fn into(folder: &Path) -> anyhow::Result<PathBuf> {
    let shown = folder.display();
    ensure!(folder.is_dir(), "{shown} is no folder: make it first, or mount it there");
    let path = folder.join(NAME);
    ensure!(!path.is_dir(), "{} is a folder: remove it, or choose another one", path.display());
    let part = folder.join(format!(".{NAME}.{}", std::process::id()));
    let copied = write(&part).and_then(|()| fs::rename(&part, &path));
    if copied.is_err() {
        // The file may not exist.
        let _ = fs::remove_file(&part);
    }
    copied.with_context(|| format!("no copy can be written into {shown}"))?;
    Ok(path)
}

/// Returns the running program, on Linux also where its file was replaced or removed meanwhile.
fn running_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

fn write(part: &Path) -> io::Result<()> {
    let mut to = File::options().write(true).create(true).truncate(true).open(part)?;
    io::copy(&mut File::open(running_program()?)?, &mut to)?;
    // Set after the copy, so that the umask has no effect.
    to.set_permissions(Permissions::from_mode(MODE))?;
    to.sync_all()
}
