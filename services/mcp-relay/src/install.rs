//! `mcp-relay install`: puts a copy of the running program into a folder, for images without a shell to copy it with.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// The program itself, also where its file was replaced or removed meanwhile.
const ITSELF: &str = "/proc/self/exe";

/// What the copy is called.
const NAME: &str = "mcp-relay";

/// Everybody may run it, its owner may replace it.
const MODE: u32 = 0o755;

/// Copies it: where to. Whoever looks finds the copy before or the new one, never a part.
pub(crate) fn into(folder: &Path) -> anyhow::Result<PathBuf> {
    let shown = folder.display();
    ensure!(folder.is_dir(), "{shown} is no folder: make it first, or mount it there");
    let path = folder.join(NAME);
    ensure!(!path.is_dir(), "{} is a folder: remove it, or choose another one", path.display());
    let part = folder.join(format!(".{NAME}.{}", std::process::id()));
    let copied = write(&part).and_then(|()| fs::rename(&part, &path));
    if copied.is_err() {
        // What is not there need not be removed.
        let _ = fs::remove_file(&part);
    }
    copied.with_context(|| format!("no copy can be written into {shown}"))?;
    Ok(path)
}

fn write(part: &Path) -> io::Result<()> {
    let mut to = File::options().write(true).create(true).truncate(true).open(part)?;
    io::copy(&mut File::open(ITSELF)?, &mut to)?;
    // After the copy, and whatever the umask says.
    to.set_permissions(Permissions::from_mode(MODE))?;
    to.sync_all()
}
