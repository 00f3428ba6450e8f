//! Follows the file of issuers and their keys while the process runs. A file that cannot be used leaves the issuers of before in
//! force. Must not know requests.

use super::file::{IssuersError, IssuersFile};
use super::verifier::TokenVerifier;
use crate::follow::{ReloadSignal, WatchedFile};
use crate::keys::{FollowedFile, Reload};

/// Follows the file and the keys; calls `report` after each change of the file. Runs until the future is dropped.
pub async fn follow_issuers(
    verifier: TokenVerifier,
    file: FollowedFile,
    reload: ReloadSignal,
    report: impl Fn(Reload),
) {
    let variable = file.variable;
    let mut watched = WatchedFile::since(file.path, file.digest, reload);
    loop {
        let content = tokio::select! {
            content = watched.changed() => content,
            () = verifier.follow_keys() => continue,
        };
        let read = content.map_err(IssuersError::from).and_then(|content| IssuersFile::from_bytes(&content));
        match read {
            Ok(file) => {
                let issuers = verifier.replace(&file);
                tracing::info!(issuers, "{variable} was read again");
                report(Reload::Applied);
            }
            Err(error) => {
                tracing::error!("{variable} cannot be used, the issuers of before stay: {error}");
                report(Reload::Refused);
            }
        }
    }
}
