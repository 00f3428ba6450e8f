//! The keys in force while the process runs, and the end of their validity. Must not know files.

use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::file::KeysFile;
use super::key::Key;
use crate::secret::SecretSet;

/// The keys of one kind of caller. Clones share them.
#[derive(Clone, Debug)]
pub struct KeyStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Keys of the variable, which never change.
    listed: SecretSet,
    current: ArcSwap<Vec<Arc<Key>>>,
    source: Source,
    /// Wakes whoever holds a [`Revocation`].
    changes: watch::Sender<()>,
}

/// Whether the keys can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Variable,
    VariableAndFile,
}

impl KeyStore {
    /// Joins the `listed` keys and those of a file as it is now. For a key in both, the file's entry counts.
    pub fn new(listed: SecretSet, file: Option<&KeysFile>) -> Self {
        let source = if file.is_some() { Source::VariableAndFile } else { Source::Variable };
        let current = ArcSwap::from_pointee(join(&listed, file));
        Self(Arc::new(Inner { listed, current, source, changes: watch::Sender::new(()) }))
    }

    /// Returns whether a key must be presented: a variable or a file of keys is set. A file that is empty at present lets
    /// nobody in.
    pub fn is_required(&self) -> bool {
        !self.0.listed.is_empty() || self.0.source == Source::VariableAndFile
    }

    /// Returns the accepted key with the text `presented`, surrounding ASCII white space removed. Takes the same time for
    /// every text of the same length: all keys are compared, in constant time each.
    pub fn find(&self, presented: &[u8]) -> Option<Arc<Key>> {
        let digest: [u8; 32] = Sha256::digest(presented.trim_ascii()).into();
        self.of_digest(&digest)
    }

    fn of_digest(&self, digest: &[u8; 32]) -> Option<Arc<Key>> {
        let keys = self.0.current.load();
        let mut found = u64::MAX;
        for (index, key) in (0_u64..).zip(keys.iter()) {
            found = u64::conditional_select(&found, &index, key.digest().ct_eq(digest));
        }
        let key = keys.get(usize::try_from(found).ok()?)?;
        key.is_valid().then(|| Arc::clone(key))
    }

    /// Returns the keys, those that are not valid at present included.
    pub fn current(&self) -> Arc<Vec<Arc<Key>>> {
        self.0.current.load_full()
    }

    /// Replaces the keys of the file, and returns the number of all keys.
    pub fn replace_file(&self, file: &KeysFile) -> usize {
        let keys = join(&self.0.listed, Some(file));
        let count = keys.len();
        self.0.current.store(Arc::new(keys));
        self.0.changes.send_replace(());
        count
    }

    /// Wakes whoever holds a key that became valid or expired after `before` and no later than `now`.
    pub(super) fn review(&self, before: OffsetDateTime, now: OffsetDateTime) {
        if self.current().iter().any(|key| key.changes_between(before, now)) {
            self.0.changes.send_replace(());
        }
    }

    /// Returns the end of a key's validity, to be waited for; `None` if the key cannot end before the process does.
    pub fn revocation(&self, key: &Key) -> Option<Revocation> {
        let can_end = self.0.source == Source::VariableAndFile;
        can_end.then(|| Revocation {
            digest: key.digest(),
            changes: self.0.changes.subscribe(),
            store: self.clone(),
        })
    }
}

impl Default for KeyStore {
    /// Creates a store that requires no key.
    fn default() -> Self {
        Self::new(SecretSet::default(), None)
    }
}

impl From<SecretSet> for KeyStore {
    /// Creates a store of keys that never change.
    fn from(listed: SecretSet) -> Self {
        Self::new(listed, None)
    }
}

/// The end of a key's validity: its removal from the file, or its expiry.
#[derive(Debug)]
pub struct Revocation {
    digest: [u8; 32],
    changes: watch::Receiver<()>,
    store: KeyStore,
}

impl Revocation {
    /// Waits until the key is not accepted any more. Cancel safe.
    pub async fn wait(&mut self) {
        while self.store.of_digest(&self.digest).is_some() {
            // The store holds the sender.
            if self.changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

fn join(listed: &SecretSet, file: Option<&KeysFile>) -> Vec<Arc<Key>> {
    let mut keys: Vec<Arc<Key>> =
        file.map(|file| file.keys().iter().cloned().map(Arc::new).collect()).unwrap_or_default();
    for digest in listed.digests() {
        if !keys.iter().any(|key| key.digest() == digest) {
            keys.push(Arc::new(Key::of_digest(digest)));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_over(revocation: &mut Revocation) -> bool {
        pin!(revocation.wait()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn file(text: &str) -> KeysFile {
        KeysFile::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn keys_of_variable_and_file_are_joined_and_the_entry_of_the_file_wins() {
        let store =
            KeyStore::new(SecretSet::new(["one", "two"]), Some(&file("- {key: two, name: ci}\n- three\n")));
        let name = |key: &str| store.find(key.as_bytes()).map(|key| key.name().map(str::to_owned));
        assert_eq!(name(" one "), Some(None));
        assert_eq!(name("two"), Some(Some("ci".into())));
        assert_eq!(name("three"), Some(None));
        for wrong in ["", "One", "four", "one two"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn keys_are_required_where_any_source_is_set_even_an_empty_file() {
        assert!(!KeyStore::default().is_required());
        assert!(KeyStore::from(SecretSet::new(["one"])).is_required());
        let empty = KeyStore::new(SecretSet::default(), Some(&file("")));
        assert!(empty.is_required() && empty.find(b"").is_none());
    }

    #[test]
    fn a_removed_or_expired_key_is_revoked_and_another_of_its_name_is_not() {
        let store = KeyStore::new(
            SecretSet::default(),
            Some(&file("- {key: one, name: ci}\n- {key: two, name: ci}\n")),
        );
        let watch = |key: &str| store.revocation(&store.find(key.as_bytes()).unwrap()).unwrap();
        let (mut one, mut two) = (watch("one"), watch("two"));
        assert!(!is_over(&mut one) && !is_over(&mut two));
        assert_eq!(store.replace_file(&file("- {key: two, name: ci}\n")), 1);
        assert!(is_over(&mut one) && !is_over(&mut two));
        store.replace_file(&file("- {key: two, name: ci, not_after: 2020-01-01T00:00:00Z}\n"));
        assert!(is_over(&mut two));
        let listed = KeyStore::from(SecretSet::new(["one"]));
        assert!(listed.revocation(&Key::of("one")).is_none());
    }
}
