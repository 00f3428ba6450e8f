//! The file of `IDENTITY_KEY_FILE`: read at the start, and read again when it changes. Must not know tokens.

use runtime::follow::{ReloadSignal, WatchedFile};
use runtime::io_fault::describe;

use super::error::RunError;
use crate::config::SlaveConfig;
use crate::identity_tokens::{IdentityTokens, SigningKeys};
use crate::metrics::ConfigFile;

/// The signer of tokens, and its file.
pub(super) struct IdentityKeys {
    watched: WatchedFile,
    tokens: IdentityTokens,
}

/// Returns a signer with the keys of the file as they are now, if one is configured.
pub(super) fn signer(config: &SlaveConfig) -> Result<Option<IdentityTokens>, RunError> {
    Ok(read(config)?.map(|(tokens, _)| tokens))
}

fn read(config: &SlaveConfig) -> Result<Option<(IdentityTokens, Vec<u8>)>, RunError> {
    let Some(path) = &config.identity_key_file else { return Ok(None) };
    let content = std::fs::read(path).map_err(|error| format!("a readable file ({})", describe(&error)));
    let read = content.and_then(|content| {
        let keys = SigningKeys::read(&content).map_err(|error| error.to_string())?;
        Ok((keys, content))
    });
    let (keys, content) =
        read.map_err(|why| RunError::IdentityKeys { path: path.display().to_string(), why })?;
    let issuer = config.identity_issuer.clone();
    let issuer = issuer.unwrap_or_else(|| format!("urn:mcp-relay:slave:{}", config.name));
    Ok(Some((IdentityTokens::new(&issuer, keys), content)))
}

impl IdentityKeys {
    /// Reads the file, if one is configured.
    pub(super) fn read(config: &SlaveConfig, reload: &ReloadSignal) -> Result<Option<Self>, RunError> {
        let Some((path, (tokens, content))) = config.identity_key_file.as_ref().zip(read(config)?) else {
            return Ok(None);
        };
        tracing::info!("Keys for tokens read from {}", path.display());
        let watched = WatchedFile::new(path, Some(&content), reload.clone());
        Ok(Some(Self { watched, tokens }))
    }

    /// Returns the signer. It signs with the keys of each time.
    pub(super) fn tokens(&self) -> IdentityTokens {
        self.tokens.clone()
    }

    /// Applies each change of the file, until the future is dropped. A file that cannot be used changes nothing.
    pub(super) async fn follow(mut self) {
        loop {
            let content = self.watched.changed().await;
            let content = content.map_err(|error| format!("a readable file ({})", describe(&error)));
            match content.and_then(|content| SigningKeys::read(&content).map_err(|error| error.to_string())) {
                Ok(keys) => {
                    let count = keys.count();
                    self.tokens.replace(keys);
                    tracing::info!(keys = count, "IDENTITY_KEY_FILE was read again");
                    ConfigFile::IdentityKeys.record_reload();
                }
                Err(why) => {
                    let path = self.watched.path().display();
                    tracing::error!(
                        "IDENTITY_KEY_FILE cannot be used, the keys of before stay: {path}: expected {why}"
                    );
                    ConfigFile::IdentityKeys.record_failed_reload();
                }
            }
        }
    }
}
