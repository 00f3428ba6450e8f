//! Follows the files of keys and issuers while a server runs. Must not know their content.

use std::sync::Arc;

use futures_util::future::join4;
use runtime::config::{CommonConfig, IssuersConfig, KeyConfig};
use runtime::follow::ReloadSignal;
use runtime::keys::{FollowedFile, KeyStore, Reload, follow_keys, follow_session_keys};
use runtime::secret::SessionKeys;
use runtime::tokens::follow_issuers;

use crate::calls::Calls;
use crate::edge::Edge;

/// A file of keys that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFile {
    /// `AUTH_BEARER_KEYS_FILE`.
    ClientKeys,
    /// `OPS_KEYS_FILE`.
    OpsKeys,
    /// `SESSION_KEY_FILE`.
    SessionKeys,
    /// `AUTH_ISSUERS`.
    Issuers,
}

impl AccessFile {
    /// Returns the label of metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::ClientKeys => "client_keys",
            Self::OpsKeys => "ops_keys",
            Self::SessionKeys => "session_keys",
            Self::Issuers => "issuers",
        }
    }
}

/// Applies changes of the files of keys and issuers to an edge; calls `report` after each, and `on_session_keys` with changed session keys.
/// Returns at once where no file is configured, otherwise runs until the future is dropped.
pub async fn follow_access<C: Calls>(
    edge: Arc<Edge<C>>,
    common: CommonConfig,
    reload: ReloadSignal,
    on_session_keys: impl Fn(&SessionKeys),
    report: impl Fn(AccessFile, Reload),
) {
    let CommonConfig { access, session, .. } = common;
    let keys = async |store: &KeyStore, config: KeyConfig, file: AccessFile| {
        if let Some((_, followed)) = config.file {
            follow_keys(store.clone(), followed, reload.clone(), |outcome| report(file, outcome)).await;
        }
    };
    let session_keys = async |followed: Option<FollowedFile>| {
        let Some(followed) = followed else { return };
        let apply = |keys: &SessionKeys| {
            edge.set_session_keys(keys);
            on_session_keys(keys);
        };
        let report = |outcome| report(AccessFile::SessionKeys, outcome);
        follow_session_keys(followed, reload.clone(), apply, report).await;
    };
    let issuers = async |config: Option<IssuersConfig>| {
        let Some((config, verifier)) = config.zip(edge.config.tokens.clone()) else { return };
        let report = |outcome| report(AccessFile::Issuers, outcome);
        follow_issuers(verifier, config.file, reload.clone(), report).await;
    };
    join4(
        keys(&edge.config.keys, access.clients, AccessFile::ClientKeys),
        keys(&edge.config.ops_keys, access.operators, AccessFile::OpsKeys),
        session_keys(session.file),
        issuers(access.issuers),
    )
    .await;
}
