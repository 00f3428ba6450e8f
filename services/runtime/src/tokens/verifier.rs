//! The check of access tokens. Must not know where a token stands in a request.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use futures_util::future::{join_all, pending};
use tokio::sync::watch;

use super::claims::TokenIdentity;
use super::error::TokenError;
use super::file::IssuersFile;
use super::issuer::Issuer;
use super::issuer_state::{Checked, IssuerState};
use super::jwks::KeyDigest;
use super::jwt::{MAX_TOKEN, Unverified};
use crate::outbound::OutboundRules;
use crate::secret::Secret;

/// The check of the tokens of all issuers. Clones share issuers and keys.
#[derive(Clone)]
pub struct TokenVerifier(Arc<Inner>);

struct Inner {
    /// What tokens must be meant for, unless an issuer's entry says otherwise: `PUBLIC_URL`.
    resource: String,
    current: ArcSwap<Vec<Arc<IssuerState>>>,
    /// How issuers are reached.
    ways: OutboundRules,
    /// Wakes whoever waits for the end of a token.
    changes: watch::Sender<()>,
}

/// A token that was accepted.
#[derive(Clone, Debug)]
pub struct AccessToken {
    identity: TokenIdentity,
    proof: Proof,
    issuer: Arc<IssuerState>,
    /// First second since 1970 at which the token is not accepted.
    end: Option<u64>,
}

/// What the acceptance of a token rests on.
#[derive(Clone, Debug)]
enum Proof {
    /// A signature by this key.
    Key(KeyDigest),
    /// The issuer's word, which may change.
    Word(Secret),
}

impl AccessToken {
    /// Returns the holder, and what the token is good for.
    pub fn identity(&self) -> &TokenIdentity {
        &self.identity
    }

    /// Returns the second since 1970 at which the token ends, leeway included; `None` where the issuer did not say.
    pub fn end(&self) -> Option<u64> {
        self.end
    }

    /// Returns whether only the issuer knows how long the token is accepted.
    pub(super) fn rests_on_word(&self) -> bool {
        matches!(self.proof, Proof::Word(_))
    }
}

impl TokenVerifier {
    /// Returns the check of tokens that are meant for `resource`, of issuers that are asked by these ways. Reads no keys before [`Self::follow_keys`] runs or a token comes.
    pub fn new(resource: &str, file: &IssuersFile, ways: OutboundRules) -> Self {
        let changes = watch::Sender::new(());
        let state = |issuer: &Issuer| IssuerState::new(issuer.clone(), ways.clone(), changes.clone());
        let current = ArcSwap::from_pointee(file.issuers().iter().map(state).collect());
        let resource = resource.trim_end_matches('/').to_owned();
        Self(Arc::new(Inner { resource, current, ways, changes }))
    }

    /// Returns what tokens are meant for, without a slash at its end.
    pub fn resource(&self) -> &str {
        &self.0.resource
    }

    /// Returns the identifiers of the issuers.
    pub fn issuers(&self) -> Vec<String> {
        self.0.current.load().iter().map(|state| state.issuer.identifier.clone()).collect()
    }

    /// Returns the scopes that tokens must have, of all issuers.
    pub fn scopes(&self) -> Vec<String> {
        let mut scopes: Vec<String> =
            self.0.current.load().iter().flat_map(|state| state.issuer.scopes.clone()).collect();
        scopes.sort();
        scopes.dedup();
        scopes
    }

    /// Checks a token. Asks the issuer where its keys or its word are needed, for ten seconds at most. Cancel safe.
    ///
    /// # Errors
    /// Why the token opens nothing.
    pub async fn verify(&self, token: &[u8]) -> Result<AccessToken, TokenError> {
        let malformed = TokenError::Invalid("the token is malformed");
        let token = token.trim_ascii();
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(malformed);
        }
        // RFC 6750, 2.1: a token is of these characters.
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        let token = std::str::from_utf8(token).ok().filter(|text| text.as_bytes().iter().all(is_token));
        let token = token.ok_or(malformed)?;
        let issuers = self.0.current.load_full();
        let now = unix_now();
        let (issuer, checked) = if Unverified::is_jwt(token) {
            let jwt = Unverified::parse(token)?;
            let issuer = issuers.iter().find(|state| Some(state.issuer.identifier.as_str()) == jwt.issuer());
            let issuer =
                issuer.ok_or(TokenError::Invalid("the token is of an issuer that is not accepted"))?;
            (issuer, issuer.check_signed(&jwt, &self.0.resource, now).await?)
        } else {
            let issuer = issuers.iter().find(|state| state.issuer.introspection.is_some());
            let issuer = issuer.ok_or(TokenError::Invalid("the token is malformed"))?;
            (issuer, issuer.check_opaque(token, &self.0.resource, now).await?)
        };
        let Checked { identity, key, end } = checked;
        let proof = key.map_or_else(|| Proof::Word(Secret::new(token)), Proof::Key);
        Ok(AccessToken { identity, proof, issuer: Arc::clone(issuer), end })
    }

    /// Returns the changes of issuers and keys, from now on.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// Returns whether an accepted token is accepted still. Asks the issuer where the token rests on its word; while it does not
    /// answer, the token stays accepted until it ends.
    pub(super) async fn still_accepts(&self, token: &AccessToken) -> bool {
        let now = unix_now();
        let is_listed = self.0.current.load().iter().any(|state| Arc::ptr_eq(state, &token.issuer));
        if !is_listed || token.end.is_some_and(|end| end <= now) {
            return false;
        }
        match &token.proof {
            // Keys that have become stale say nothing: no new token is accepted, and this one ends by itself.
            Proof::Key(key) => token.issuer.keys.current().is_none_or(|keys| keys.contains(key)),
            Proof::Word(text) => {
                let checked = token.issuer.check_opaque(text.expose(), &self.0.resource, now).await;
                match checked {
                    Ok(checked) => checked.identity == token.identity,
                    Err(TokenError::Unavailable { .. }) => true,
                    Err(TokenError::Invalid(_) | TokenError::Scopes(_)) => false,
                }
            }
        }
    }

    /// Replaces the issuers. Those whose entries are the same keep their keys; tokens of the others end.
    pub fn replace(&self, file: &IssuersFile) -> usize {
        let before = self.0.current.load_full();
        let state = |issuer: &Issuer| {
            let same = before.iter().find(|state| state.issuer == *issuer);
            let new = || IssuerState::new(issuer.clone(), self.0.ways.clone(), self.0.changes.clone());
            same.map_or_else(new, Arc::clone)
        };
        self.0.current.store(Arc::new(file.issuers().iter().map(state).collect()));
        self.0.changes.send_replace(());
        file.issuers().len()
    }

    /// Reads the keys of the present issuers, and reads them again whenever it is time. Runs until the future is dropped.
    pub async fn follow_keys(&self) {
        let issuers = self.0.current.load_full();
        join_all(issuers.iter().map(|state| state.keys.follow(&state.issuer, &state.fetcher))).await;
        // There is an issuer at least, and its keys are followed for ever.
        pending::<()>().await;
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("resource", &self.0.resource).finish_non_exhaustive()
    }
}

pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
