//! A client's configuration file: read, kept as it was, replaced. Must not know its format.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use runtime::io_fault::describe;

use crate::command_error::CommandError;

/// Mode of a new file: it may hold a key.
const PRIVATE: u32 = 0o600;

/// Backups that are kept beside a file, at most.
const MAX_BACKUPS: usize = 99;

/// Returns the content of a file; `None`: there is none.
pub(crate) fn read(path: &Path) -> Result<Option<String>, CommandError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(CommandError::Config(format!("{} cannot be read: {}", path.display(), describe(&error))))
        }
    }
}

/// Puts `text` in place of the file at once, with its mode, and keeps the file as it was beside it. Returns where it is kept.
pub(crate) fn replace(path: &Path, exists: bool, text: &str) -> Result<Option<PathBuf>, CommandError> {
    // A file that is a link stays one, as people keep their configuration in repositories.
    let path =
        if exists { std::fs::canonicalize(path).context("the file is gone")? } else { path.to_owned() };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    let backup = exists.then(|| keep(&path)).transpose()?;
    let mut file = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("no file can be made in {}", folder.display()))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all());
    written.with_context(|| format!("{} cannot be written", path.display()))?;
    if let Ok(old) = std::fs::metadata(&path) {
        file.as_file()
            .set_permissions(std::fs::Permissions::from_mode(old.mode() & 0o777))
            .with_context(|| format!("the mode of {} cannot be kept", path.display()))?;
    }
    file.persist(&path).with_context(|| format!("{} cannot be replaced", path.display()))?;
    Ok(backup)
}

/// Copies a file to a name beside it that nothing has.
fn keep(path: &Path) -> Result<PathBuf, CommandError> {
    let content = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    for number in 1..=MAX_BACKUPS {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 1 { ".backup".to_owned() } else { format!(".backup.{number}") });
        let backup = PathBuf::from(name);
        let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&backup);
        match made {
            Ok(mut file) => {
                file.write_all(&content)
                    .with_context(|| format!("{} cannot be written", backup.display()))?;
                return Ok(backup);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                let text = format!("{} cannot be written: {}", backup.display(), describe(&error));
                return Err(CommandError::Failed(anyhow::anyhow!(text)));
            }
        }
    }
    Err(CommandError::Config(format!("{} has {MAX_BACKUPS} backups: remove some", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_at_once_and_kept_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/mcp.json");
        assert_eq!(read(&path).unwrap(), None);
        assert_eq!(replace(&path, false, "one").unwrap(), None);
        assert_eq!(mode(&path), PRIVATE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let first = replace(&path, true, "two").unwrap().unwrap();
        let second = replace(&path, true, "three").unwrap().unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("three"));
        assert_eq!(mode(&path), 0o644);
        assert_eq!(std::fs::read_to_string(&first).unwrap(), "one");
        assert_eq!(std::fs::read_to_string(&second).unwrap(), "two");
        assert_eq!(mode(&first), PRIVATE);
        assert!(second.to_str().unwrap().ends_with("mcp.json.backup.2"));
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.json"), folder.path().join("link.json"));
        std::fs::write(&real, "{}").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, true, "{\"a\":1}").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "{\"a\":1}");
    }

    #[test]
    fn a_file_that_is_no_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(read(&path), Err(CommandError::Config(_))));
        assert!(matches!(read(folder.path()), Err(CommandError::Config(_))));
    }
}
