//! The users in force. Must not know requests.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use runtime::follow::{ReloadSignal, WatchedFile, content_digest};
use tokio::sync::watch;

use super::file::{User, UsersFile};
use crate::grant::Subject;

/// The users in force, by name. A file that cannot be used leaves those of before.
#[derive(Debug)]
pub struct UserStore {
    users: ArcSwap<HashMap<String, User>>,
    file: Option<(PathBuf, [u8; 32])>,
    changes: watch::Sender<u64>,
}

impl UserStore {
    /// Takes the users of a file with this content, which [`Self::follow`] follows.
    pub fn new(file: UsersFile, path: PathBuf, content: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            users: ArcSwap::from_pointee(by_name(file)),
            file: Some((path, content_digest(content))),
            changes: watch::Sender::new(0),
        })
    }

    /// Returns a store without users, for a broker with an identity provider.
    pub fn none() -> Arc<Self> {
        Arc::new(Self { users: ArcSwap::default(), file: None, changes: watch::Sender::new(0) })
    }

    /// Returns a user by name; upper and lower case are the same.
    pub(crate) fn find(&self, name: &str) -> Option<User> {
        self.users.load().get(&name.to_ascii_lowercase()).cloned()
    }

    /// Returns the user of a grant as they are now: `None` where the user is gone, or has another password. Users of an identity provider
    /// stay what they were.
    pub(crate) fn present(&self, subject: &Subject) -> Option<Subject> {
        if subject.outside {
            return Some(subject.clone());
        }
        let user = self.find(&subject.name)?;
        (user.stamp() == subject.stamp).then(|| Subject::from(&user))
    }

    /// Returns a receiver that sees each change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Returns the number of users.
    pub fn len(&self) -> usize {
        self.users.load().len()
    }

    /// Returns whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.users.load().is_empty()
    }

    /// Follows the file until the future is dropped.
    pub(crate) async fn follow(&self, reload: ReloadSignal) {
        let Some((path, digest)) = &self.file else { return };
        let mut watched = WatchedFile::since(path, *digest, reload);
        loop {
            let content = watched.changed().await.map_err(|error| runtime::io_fault::describe(&error));
            match content.and_then(|content| UsersFile::parse(&content)) {
                Ok(file) => {
                    let users = file.users.len();
                    self.users.store(Arc::new(by_name(file)));
                    self.changes.send_modify(|count| *count += 1);
                    tracing::info!(users, "BROKER_USERS_FILE was read again");
                }
                Err(error) => {
                    tracing::error!("BROKER_USERS_FILE cannot be used, the users of before stay: {error}");
                }
            }
        }
    }
}

fn by_name(file: UsersFile) -> HashMap<String, User> {
    file.users.into_iter().map(|user| (user.name.clone(), user)).collect()
}

impl From<&User> for Subject {
    fn from(user: &User) -> Self {
        Self { name: user.name.clone(), groups: user.groups.clone(), stamp: user.stamp(), outside: false }
    }
}
