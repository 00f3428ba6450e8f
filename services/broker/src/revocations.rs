//! Grants that were revoked: at this process at once, at others that have the same file within a second, and wherever a listener tells it.
//! Must not know tokens.
//!
//! The file has a line `family end` for each revoked grant; the end is in seconds since 1970. Each process appends, and reads what others
//! appended.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use parking_lot::Mutex;
use runtime::follow::{ReloadSignal, WatchedFile};
use tokio::sync::watch;

/// Most revoked grants that are remembered; those that end first are forgotten first.
const MAX_REVOKED: usize = 1_000_000;
/// Size from which on a file is freed of what has ended, in bytes.
const COMPACT_FROM: u64 = 1024 * 1024;
/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The file of revocations (`BROKER_REVOCATIONS_FILE`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationsFile(PathBuf);

impl RevocationsFile {
    /// Opens the file, and creates it where it does not exist. Blocks the thread.
    ///
    /// # Errors
    /// It cannot be read and appended to.
    pub fn open(path: &Path) -> io::Result<Self> {
        append(path)?;
        Ok(Self(path.to_owned()))
    }

    /// Adds a line for each of these. Blocks the thread.
    fn add(&self, grants: &[RevokedGrant], now: u64) -> io::Result<()> {
        let mut file = append(&self.0)?;
        file.lock()?;
        if file.metadata()?.len() > COMPACT_FROM {
            compact(&mut file, now)?;
        }
        let lines: Vec<String> =
            grants.iter().map(|RevokedGrant { family, ends }| format!("{family} {ends}\n")).collect();
        file.write_all(lines.concat().as_bytes())?;
        file.sync_data()
    }
}

fn append(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().read(true).append(true).create(true).mode(0o600).open(path)
}

/// Leaves out what has ended, and what is there already.
fn compact(file: &mut File, now: u64) -> io::Result<()> {
    let mut text = String::new();
    file.rewind()?;
    file.take(MAX_FILE).read_to_string(&mut text)?;
    let mut seen = HashSet::new();
    let kept: Vec<String> = lines(&text)
        .filter(|grant| grant.ends > now && seen.insert(grant.family.clone()))
        .map(|RevokedGrant { family, ends }| format!("{family} {ends}\n"))
        .collect();
    file.set_len(0)?;
    file.write_all(kept.concat().as_bytes())
}

fn lines(text: &str) -> impl Iterator<Item = RevokedGrant> {
    let is_family = |text: &str| {
        text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.lines().filter_map(move |line| {
        let (family, ends) = line.trim().split_once(' ')?;
        let ends = ends.parse().ok()?;
        is_family(family).then(|| RevokedGrant { family: family.to_owned(), ends })
    })
}

/// A revoked grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedGrant {
    /// Random id of all codes and tokens of the grant.
    pub family: String,
    /// When the grant would have ended, in seconds since 1970.
    pub ends: u64,
}

/// Called with grants that were revoked, once for each.
type Listener = Box<dyn Fn(&[RevokedGrant]) + Send + Sync>;

/// The revoked grants.
pub(crate) struct Revocations {
    revoked: Mutex<HashMap<String, u64>>,
    file: Option<RevocationsFile>,
    changes: watch::Sender<u64>,
    listener: OnceLock<Listener>,
}

impl Revocations {
    /// Reads what the file has. Blocks the thread.
    pub(crate) fn new(file: Option<RevocationsFile>) -> Self {
        let revocations = Self {
            revoked: Mutex::default(),
            file,
            changes: watch::Sender::new(0),
            listener: OnceLock::new(),
        };
        if let Some(file) = &revocations.file
            && let Ok(content) = std::fs::read(&file.0)
        {
            revocations.take(&content);
        }
        revocations
    }

    /// Returns whether a grant was revoked.
    pub(crate) fn contains(&self, family: &str) -> bool {
        self.revoked.lock().contains_key(family)
    }

    /// Sets the listener for revoked grants, which is called with those of before, too. Only the first listener is kept.
    pub(crate) fn listen(&self, listener: impl Fn(&[RevokedGrant]) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
        let grant = |(family, ends): (&String, &u64)| RevokedGrant { family: family.clone(), ends: *ends };
        let before: Vec<RevokedGrant> = self.revoked.lock().iter().map(grant).collect();
        self.tell(&before);
    }

    fn tell(&self, grants: &[RevokedGrant]) {
        if let Some(listener) = self.listener.get() {
            listener(grants);
        }
    }

    /// Revokes grants: at this process now, in the file shortly after. Returns the number of those that were not revoked before.
    pub(crate) fn add(&self, grants: Vec<RevokedGrant>, now: u64) -> usize {
        let new = self.insert(grants.into_iter());
        let count = new.len();
        let Some(file) = self.file.clone().filter(|_| count > 0) else { return count };
        let write = move || {
            if let Err(error) = file.add(&new, now) {
                let why = runtime::io_fault::describe(&error);
                tracing::error!(
                    "BROKER_REVOCATIONS_FILE cannot be written, other processes do not learn of a revocation: {why}"
                );
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(write)),
            Err(_) => write(),
        }
        count
    }

    /// Returns a receiver that sees each change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Follows the file until the future is dropped.
    pub(crate) async fn follow(&self, reload: ReloadSignal) {
        let Some(file) = &self.file else { return };
        let mut watched = WatchedFile::new(&file.0, None, reload);
        loop {
            match watched.changed().await {
                Ok(content) => self.take(&content),
                Err(error) => {
                    let why = runtime::io_fault::describe(&error);
                    tracing::error!(
                        "BROKER_REVOCATIONS_FILE cannot be read, what was revoked stays so: {why}"
                    );
                }
            }
        }
    }

    fn take(&self, content: &[u8]) {
        let text = String::from_utf8_lossy(content);
        self.insert(lines(&text));
    }

    /// Returns those that are new, which the listener is told.
    fn insert(&self, grants: impl Iterator<Item = RevokedGrant>) -> Vec<RevokedGrant> {
        let mut revoked = self.revoked.lock();
        let is_new = |grant: &RevokedGrant| revoked.insert(grant.family.clone(), grant.ends).is_none();
        let new: Vec<RevokedGrant> = grants.filter(is_new).collect();
        if revoked.len() > MAX_REVOKED {
            forget(&mut revoked);
        }
        drop(revoked);
        if !new.is_empty() {
            self.changes.send_modify(|count| *count += 1);
            self.tell(&new);
        }
        new
    }
}

fn forget(revoked: &mut HashMap<String, u64>) {
    let mut ends: Vec<u64> = revoked.values().copied().collect();
    let tenth = ends.len() / 10;
    let (_, bound, _) = ends.select_nth_unstable(tenth);
    let bound = *bound;
    revoked.retain(|_, ends| *ends > bound);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const ONE: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    const TWO: &str = "BBBBBBBBBBBBBBBBBBBBB_";

    fn grant(family: &str, ends: u64) -> RevokedGrant {
        RevokedGrant { family: family.to_owned(), ends }
    }

    #[test]
    fn a_revocation_reaches_a_process_that_has_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revoked");
        let file = RevocationsFile::open(&path).unwrap();
        let one = Revocations::new(Some(file.clone()));
        assert_eq!((one.add(vec![grant(ONE, 100)], 0), one.add(vec![grant(ONE, 100)], 0)), (1, 0));
        assert!(one.contains(ONE) && !one.contains(TWO));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{ONE} 100\n"));
        assert!(Revocations::new(Some(file)).contains(ONE), "after a restart");
    }

    #[tokio::test]
    async fn a_followed_file_is_taken_over_and_tells_who_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revoked");
        let file = RevocationsFile::open(&path).unwrap();
        let (_reload, signal) = ReloadSignal::manual();
        let revocations = Revocations::new(Some(file));
        let told: Arc<Mutex<Vec<RevokedGrant>>> = Arc::default();
        let log = Arc::clone(&told);
        revocations.listen(move |grants| log.lock().extend_from_slice(grants));
        let mut changes = revocations.changes();
        std::fs::write(&path, format!("# by hand\n{TWO} 100\nnonsense\n{ONE}\n{ONE} x\n")).unwrap();
        tokio::select! {
            () = revocations.follow(signal) => unreachable!(),
            told = changes.changed() => told.unwrap(),
        }
        assert!(revocations.contains(TWO) && !revocations.contains(ONE));
        assert_eq!(*told.lock(), [grant(TWO, 100)]);
    }

    #[test]
    fn the_listener_is_told_each_grant_once_those_of_before_included() {
        let revocations = Revocations::new(None);
        revocations.add(vec![grant(ONE, 100)], 0);
        let told: Arc<Mutex<Vec<RevokedGrant>>> = Arc::default();
        let log = Arc::clone(&told);
        revocations.listen(move |grants| log.lock().extend_from_slice(grants));
        revocations.add(vec![grant(ONE, 100), grant(TWO, 200), grant(TWO, 200)], 0);
        assert_eq!(*told.lock(), [grant(ONE, 100), grant(TWO, 200)]);
    }

    #[test]
    fn a_large_file_is_freed_of_what_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revoked");
        let line = format!("{ONE} 100\n");
        let ended = line.repeat(usize::try_from(COMPACT_FROM).unwrap() / line.len() + 1);
        std::fs::write(&path, format!("{ended}{TWO} 300\n{TWO} 300\n")).unwrap();
        RevocationsFile::open(&path).unwrap().add(&[grant(ONE, 400)], 200).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{TWO} 300\n{ONE} 400\n"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut revoked: HashMap<String, u64> = (0..100).map(|n| (n.to_string(), n)).collect();
        forget(&mut revoked);
        assert!(revoked.len() < 100 && revoked.contains_key("99"));
    }
}
