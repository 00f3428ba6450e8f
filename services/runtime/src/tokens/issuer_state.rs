//! An issuer while the process runs: its entry of the file, its keys, and its answers. Must not know other issuers.

use std::sync::Arc;

use tokio::sync::watch;

use super::claims::{TokenIdentity, identity};
use super::error::TokenError;
use super::fetch::Fetcher;
use super::introspection::Introspection;
use super::issuer::Issuer;
use super::jwks::KeyDigest;
use super::jwt::{Unverified, seconds};
use super::key_source::KeySource;
use crate::outbound::OutboundRules;

/// An issuer, its keys and answers.
#[derive(Debug)]
pub(super) struct IssuerState {
    pub(super) issuer: Issuer,
    pub(super) keys: KeySource,
    pub(super) fetcher: Fetcher,
    introspection: Introspection,
}

/// What a token says, and what the proof of it rests on.
pub(super) struct Checked {
    pub(super) identity: TokenIdentity,
    /// Key of the signature; `None` where the issuer was asked.
    pub(super) key: Option<KeyDigest>,
    /// First second since 1970 at which the token is not accepted; `None` where the issuer did not say.
    pub(super) end: Option<u64>,
}

impl IssuerState {
    pub(super) fn new(issuer: Issuer, ways: OutboundRules, changes: watch::Sender<()>) -> Arc<Self> {
        let fetcher = Fetcher::new(issuer.ca().cloned(), ways);
        Arc::new(Self { keys: KeySource::new(changes), introspection: Introspection::new(), fetcher, issuer })
    }

    /// Checks a token by its signature.
    pub(super) async fn check_signed(
        &self,
        jwt: &Unverified<'_>,
        resource: &str,
        now: u64,
    ) -> Result<Checked, TokenError> {
        let algorithm = jwt.check_header(&self.issuer)?;
        let end = jwt.check_times(&self.issuer, now)?;
        let source = &self.keys;
        let keys = source.for_signature(&self.issuer, &self.fetcher, jwt.key_id(), algorithm).await;
        let keys = keys.ok_or_else(|| TokenError::Unavailable { issuer: self.issuer.identifier.clone() })?;
        if !keys.has_candidate(jwt.key_id(), algorithm) {
            return Err(TokenError::Invalid("the token is signed by a key that the issuer does not have"));
        }
        let key = keys
            .verify(jwt.key_id(), algorithm, jwt.signature, jwt.message)
            .ok_or(TokenError::Invalid("the signature of the token is wrong"))?;
        let identity = identity(&jwt.claims, &self.issuer, resource)?;
        Ok(Checked { identity, key: Some(key), end: Some(end) })
    }

    /// Checks a token by asking the issuer.
    pub(super) async fn check_opaque(
        &self,
        token: &str,
        resource: &str,
        now: u64,
    ) -> Result<Checked, TokenError> {
        let Some(endpoint) = &self.issuer.introspection else {
            return Err(TokenError::Invalid("the token is malformed"));
        };
        let claims = self.introspection.claims(endpoint, &self.fetcher, token).await?;
        if claims.get("iss").is_some_and(|found| found.as_str() != Some(&self.issuer.identifier)) {
            return Err(TokenError::Invalid("the token is of another issuer"));
        }
        let end = seconds(&claims, "exp")?.map(|end| end.saturating_add(self.issuer.leeway));
        if end.is_some_and(|end| end <= now) {
            return Err(TokenError::Invalid("the token has expired"));
        }
        if seconds(&claims, "nbf")?.is_some_and(|begin| begin > now.saturating_add(self.issuer.leeway)) {
            return Err(TokenError::Invalid("the token is not valid yet"));
        }
        Ok(Checked { identity: identity(&claims, &self.issuer, resource)?, key: None, end })
    }
}
