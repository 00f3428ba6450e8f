//! Files that are read again when they change: their metadata is polled every second, and SIGHUP forces a reading.
//!
//! Polling, rather than file system events, because mounted config maps and secrets change by a renamed link and
//! editors rename files. Must not know what the files contain.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two polls of a file.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The signal to read all files again: SIGHUP. Clones receive the same signals.
#[derive(Clone, Debug)]
pub struct ReloadSignal(watch::Receiver<u64>);

impl ReloadSignal {
    /// Installs the signal handler, so that SIGHUP no longer ends the process. Needs a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        let mut hangup = signal(SignalKind::hangup())?;
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                tracing::info!("SIGHUP received: files of the configuration are read again");
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Self(receiver))
    }

    /// Returns a sender and its receiver without a signal handler, for tests and for owners without signals.
    pub fn manual() -> (watch::Sender<u64>, Self) {
        let (sender, receiver) = watch::channel(0);
        (sender, Self(receiver))
    }

    /// Waits for the next signal. Cancel safe. Never completes once all senders are gone.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Modification time, length and inode of a file. While they are the same, the file is not read.
type Change = (Option<SystemTime>, u64, u64);

/// A file whose changes its owner waits for.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    reload: ReloadSignal,
    seen: Option<Change>,
    content: Option<[u8; 32]>,
}

impl WatchedFile {
    /// Watches `path`. The first [`Self::changed`] waits for content that differs from `now`, the owner's present
    /// content (`None`: no content).
    pub fn new(path: impl Into<PathBuf>, now: Option<&[u8]>, reload: ReloadSignal) -> Self {
        Self { path: path.into(), reload, seen: None, content: now.map(content_digest) }
    }

    /// Watches `path` as [`Self::new`] does, given the [`content_digest`] of the owner's present content: for owners of
    /// secrets, which keep no content.
    pub fn since(path: impl Into<PathBuf>, digest: [u8; 32], reload: ReloadSignal) -> Self {
        Self { path: path.into(), reload, seen: None, content: Some(digest) }
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for changed content and returns it. A removed or unreadable file is an error, which is returned once until
    /// the file changes or comes back; the owner then keeps its content. After SIGHUP the content is returned even if
    /// it is the same.
    ///
    /// Cancel safe: a change that was not returned is detected again.
    pub async fn changed(&mut self) -> io::Result<Vec<u8>> {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let forced = tokio::select! {
                _ = ticks.tick() => false,
                () = self.reload.next() => true,
            };
            if let Some(read) = self.poll(forced).await {
                return read;
            }
        }
    }

    async fn poll(&mut self, forced: bool) -> Option<io::Result<Vec<u8>>> {
        let change = match tokio::fs::metadata(&self.path).await {
            Ok(meta) => (meta.modified().ok(), meta.len(), inode(&meta)),
            // The file was removed or is no regular file any more.
            Err(_) => (None, 0, 0),
        };
        if self.seen == Some(change) && !forced {
            return None;
        }
        let read = tokio::fs::read(&self.path).await;
        self.seen = Some(change);
        match read {
            Ok(content) => {
                let digest = content_digest(&content);
                let same = self.content.replace(digest) == Some(digest);
                (!same || forced).then_some(Ok(content))
            }
            Err(error) => {
                // A file that comes back is told of even if its content is that of before.
                self.content = None;
                Some(Err(error))
            }
        }
    }
}

/// Returns the SHA-256 digest of a file's content.
pub fn content_digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

fn inode(meta: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    meta.ino()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "one").unwrap();
        (directory, path)
    }

    #[tokio::test]
    async fn changed_content_is_returned_and_unchanged_content_is_not() {
        let (_directory, path) = file();
        let (_sender, reload) = ReloadSignal::manual();
        let mut watched = WatchedFile::new(&path, Some(b"one"), reload);
        assert!(watched.poll(false).await.is_none());
        // Replaces the file by another with the same content, then by another with other content.
        std::fs::write(path.with_extension("new"), "one").unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
        assert!(watched.poll(false).await.is_none());
        std::fs::write(path.with_extension("new"), "two").unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
        assert_eq!(watched.changed().await.unwrap(), b"two");
    }

    #[tokio::test]
    async fn a_removed_file_is_reported_once_and_its_return_too() {
        let (_directory, path) = file();
        let (_sender, reload) = ReloadSignal::manual();
        let mut watched = WatchedFile::new(&path, Some(b"one"), reload);
        std::fs::remove_file(&path).unwrap();
        assert!(watched.changed().await.is_err());
        assert!(watched.poll(false).await.is_none());
        std::fs::write(&path, "one").unwrap();
        assert_eq!(watched.changed().await.unwrap(), b"one", "although its content is that of before");
    }

    #[tokio::test]
    async fn a_reload_signal_returns_the_same_content_again() {
        let (_directory, path) = file();
        let (sender, reload) = ReloadSignal::manual();
        let mut watched = WatchedFile::new(&path, Some(b"one"), reload);
        sender.send_modify(|count| *count += 1);
        assert_eq!(watched.changed().await.unwrap(), b"one");
    }
}
