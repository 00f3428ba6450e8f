//! Files that are read again when they change: by a look at them every second, and at SIGHUP.
//!
//! Looking is what works everywhere: mounted config maps and secrets change by a renamed link, editors by a renamed
//! file. Knows nothing of what the files say.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Tells when everything is to be read again: at SIGHUP. Clones tell of the same signals.
#[derive(Clone, Debug)]
pub struct ReloadSignal(watch::Receiver<u64>);

impl ReloadSignal {
    /// From now on SIGHUP no longer ends the process. Needs a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        let mut hangups = signal(SignalKind::hangup())?;
        let (told, heard) = watch::channel(0);
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                tracing::info!("SIGHUP received: files of the configuration are read again");
                told.send_modify(|count| *count += 1);
            }
        });
        Ok(Self(heard))
    }

    /// No signals, and a sender to make up some: for tests and for owners without signals.
    pub fn made_up() -> (watch::Sender<u64>, Self) {
        let (told, heard) = watch::channel(0);
        (told, Self(heard))
    }

    /// Waits for the next one that was not waited for. Cancel safe. Never returns once nobody can send any.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What a file looks like from outside: if this is the same, it is not read.
type Look = (Option<SystemTime>, u64, u64);

/// One file that is followed.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    hangups: ReloadSignal,
    seen: Option<Look>,
    content: Option<[u8; 32]>,
}

impl WatchedFile {
    /// Follows `path`. The first [`Self::changed`] waits for a content other than `now`, what the owner has already
    /// (`None`: nothing).
    pub fn new(path: impl Into<PathBuf>, now: Option<&[u8]>, hangups: ReloadSignal) -> Self {
        Self { path: path.into(), hangups, seen: None, content: now.map(digest) }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for another content, and gives it. A file that goes or cannot be read is an error, told once until it
    /// is another or comes back; keep what you have then. After SIGHUP the content is given even if it is the same.
    ///
    /// Cancel safe: a change that was not given is found again.
    pub async fn changed(&mut self) -> io::Result<Vec<u8>> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = looks.tick() => false,
                () = self.hangups.next() => true,
            };
            if let Some(read) = self.look(asked).await {
                return read;
            }
        }
    }

    async fn look(&mut self, asked: bool) -> Option<io::Result<Vec<u8>>> {
        let look = match tokio::fs::metadata(&self.path).await {
            Ok(meta) => (meta.modified().ok(), meta.len(), inode(&meta)),
            // One that is no file any more.
            Err(_) => (None, 0, 0),
        };
        if self.seen == Some(look) && !asked {
            return None;
        }
        let read = tokio::fs::read(&self.path).await;
        self.seen = Some(look);
        match read {
            Ok(content) => {
                let digest = digest(&content);
                let same = self.content.replace(digest) == Some(digest);
                (!same || asked).then_some(Ok(content))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

fn digest(content: &[u8]) -> [u8; 32] {
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
    async fn another_content_is_given_and_the_same_is_not() {
        let (_directory, path) = file();
        let (_told, hangups) = ReloadSignal::made_up();
        let mut followed = WatchedFile::new(&path, Some(b"one"), hangups);
        assert!(followed.look(false).await.is_none());
        // Another file in its place with the same content, then with another.
        std::fs::write(path.with_extension("new"), "one").unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
        assert!(followed.look(false).await.is_none());
        std::fs::write(path.with_extension("new"), "two").unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
        assert_eq!(followed.changed().await.unwrap(), b"two");
    }

    #[tokio::test]
    async fn a_lost_file_is_told_once_and_its_return_too() {
        let (_directory, path) = file();
        let (_told, hangups) = ReloadSignal::made_up();
        let mut followed = WatchedFile::new(&path, Some(b"one"), hangups);
        std::fs::remove_file(&path).unwrap();
        assert!(followed.changed().await.is_err());
        assert!(followed.look(false).await.is_none());
        std::fs::write(&path, "three").unwrap();
        assert_eq!(followed.changed().await.unwrap(), b"three");
    }

    #[tokio::test]
    async fn a_hangup_gives_the_same_content_again() {
        let (_directory, path) = file();
        let (told, hangups) = ReloadSignal::made_up();
        let mut followed = WatchedFile::new(&path, Some(b"one"), hangups);
        told.send_modify(|count| *count += 1);
        assert_eq!(followed.changed().await.unwrap(), b"one");
    }
}
