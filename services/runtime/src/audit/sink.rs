//! The target of audit lines: standard error, standard output, or a file that can be reopened. Knows no lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::config::AuditTarget;
use crate::io_fault::describe;

/// An open target.
#[derive(Debug)]
pub(super) enum Sink {
    Stderr,
    Stdout,
    File(PathBuf, File),
}

impl Sink {
    /// Opens the target. A missing file is created with mode 0600.
    pub(super) fn open(target: &AuditTarget) -> io::Result<Self> {
        Ok(match target {
            AuditTarget::Stderr => Self::Stderr,
            AuditTarget::Stdout => Self::Stdout,
            AuditTarget::File(path) => Self::File(path.clone(), open(path)?),
        })
    }

    /// Reopens the file. If that fails, the open file stays in use.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Self::File(path, file) = self {
            *file = open(path)?;
        }
        Ok(())
    }

    /// Writes as many bytes as possible. Returns their number, and the error that ended the write early.
    pub(super) fn write(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let wrote = match self {
                Self::Stderr => io::stderr().lock().write(rest),
                Self::Stdout => unbuffered(rest),
                Self::File(_, file) => file.write(rest),
            };
            match wrote {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }
}

/// Writes and flushes, because the buffer of standard output would report an error too late.
fn unbuffered(bytes: &[u8]) -> io::Result<usize> {
    let mut out = io::stdout().lock();
    let written = out.write(bytes)?;
    out.flush()?;
    Ok(written)
}

fn open(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("{}: {}", path.display(), describe(&error))))
}
