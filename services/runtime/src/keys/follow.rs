//! Follows files of keys while the process runs. A file that cannot be used leaves the keys of before in force. Must not
//! know what keys are good for.

use std::path::PathBuf;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval};

use super::file::KeysFile;
use super::store::KeyStore;
use crate::document::SecretFileError;
use crate::follow::{ReloadSignal, WatchedFile};
use crate::io_fault::describe;
use crate::secret::SessionKeys;

/// Time between two checks for keys that have become valid or expired.
const VALIDITY_INTERVAL: Duration = Duration::from_secs(1);

/// The outcome of reading a changed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Its content is in force.
    Applied,
    /// The content of before stays in force.
    Refused,
}

/// A followed file: its variable, path, and the digest of its content at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedFile {
    /// The variable that names the file.
    pub variable: &'static str,
    /// Its path.
    pub path: PathBuf,
    /// SHA-256 digest of its content at the start.
    pub digest: [u8; 32],
}

/// Follows a file of keys and the times at which keys become valid or expire; calls `report` after each change of the
/// file. Runs until the future is dropped.
pub async fn follow_keys(store: KeyStore, file: FollowedFile, reload: ReloadSignal, report: impl Fn(Reload)) {
    let variable = file.variable;
    let mut watched = WatchedFile::since(file.path, file.digest, reload);
    let mut ticks = interval(VALIDITY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = OffsetDateTime::now_utc();
    loop {
        tokio::select! {
            content = watched.changed() => {
                let read = content.map_err(SecretFileError::from).and_then(|content| KeysFile::from_bytes(&content));
                report(apply(&store, variable, read));
            }
            _ = ticks.tick() => {}
        }
        let now = OffsetDateTime::now_utc();
        store.review(before, now);
        before = now;
    }
}

fn apply(store: &KeyStore, variable: &str, read: Result<KeysFile, SecretFileError>) -> Reload {
    match read {
        Ok(file) => {
            let keys = store.replace_file(&file);
            tracing::info!(keys, "{variable} was read again");
            if !file.short_keys().is_empty() {
                let places = file.short_keys().join(", ");
                tracing::warn!("{variable}: fewer than 16 characters can be guessed ({places})");
            }
            Reload::Applied
        }
        Err(error) => {
            tracing::error!("{variable} cannot be used, the keys of before stay: {error}");
            Reload::Refused
        }
    }
}

/// Follows the file of session keys: calls `apply` with changed keys, and `report` after each change of the file. Runs
/// until the future is dropped.
pub async fn follow_session_keys(
    file: FollowedFile,
    reload: ReloadSignal,
    apply: impl Fn(&SessionKeys),
    report: impl Fn(Reload),
) {
    let variable = file.variable;
    let mut watched = WatchedFile::since(file.path, file.digest, reload);
    loop {
        let content =
            watched.changed().await.map_err(|error| format!("a readable file ({})", describe(&error)));
        match content.and_then(|content| SessionKeys::parse_file(&content)) {
            Ok(keys) => {
                apply(&keys);
                tracing::info!(keys = keys.open().count(), "{variable} was read again");
                report(Reload::Applied);
            }
            Err(expected) => {
                tracing::error!("{variable} cannot be used, the keys of before stay: expected {expected}");
                report(Reload::Refused);
            }
        }
    }
}
