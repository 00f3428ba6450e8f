//! Tokens by which HTTP backends know the client of a request (`IDENTITY_KEY_FILE`): JSON web tokens that live for a minute, signed by this
//! slave, for one backend each. Must not know backends or requests.

mod keys;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::link::identity::Identity;
use serde_json::{Value, json};

pub use keys::{KeyFileError, SigningKeys};

/// Path of the public keys, on the port of the operators' endpoints.
pub(crate) const JWKS_PATH: &str = "/.well-known/jwks.json";

/// Seconds that a token is valid.
const LIFETIME: u64 = 60;

/// The type of a token (RFC 9068, 2.1).
const TYPE: &str = "at+jwt";

/// The member with the whole identity, which `_meta` has under the same name.
pub(crate) const IDENTITY_CLAIM: &str = "io.mcp-relay/identity";

/// The signer of tokens. Clones share the keys.
#[derive(Clone)]
pub struct IdentityTokens {
    issuer: Arc<str>,
    keys: Arc<ArcSwap<SigningKeys>>,
}

impl fmt::Debug for IdentityTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityTokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl IdentityTokens {
    /// A signer with these keys, whose tokens name this issuer.
    pub fn new(issuer: &str, keys: SigningKeys) -> Self {
        Self { issuer: issuer.into(), keys: Arc::new(ArcSwap::from_pointee(keys)) }
    }

    /// Signs with these keys from now on.
    pub fn replace(&self, keys: SigningKeys) {
        self.keys.store(Arc::new(keys));
    }

    /// Returns the public keys (RFC 7517): that of tokens from now on, and all others of the file.
    pub fn public_keys(&self) -> Value {
        json!({ "keys": self.keys.load().public() })
    }

    /// Returns a token that tells `audience` who the client is; `None`: nobody has proven it. `None` where no signature can be made.
    pub(crate) fn sign(&self, audience: &str, client: Option<&Identity>) -> Option<String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        let mut claims = json!({
            "iss": &*self.issuer,
            "sub": subject(client),
            "aud": audience,
            "client_id": "mcp-relay",
            "iat": now,
            "exp": now + LIFETIME,
            "jti": URL_SAFE_NO_PAD.encode(id),
        });
        if let Some(client) = client {
            claims["groups"] = json!(client.groups);
            claims["preferred_username"] = json!(client.display());
            claims[IDENTITY_CLAIM] = json!(client);
        }
        let keys = self.keys.load();
        let key = keys.signing();
        let header = json!({ "alg": key.algorithm(), "typ": TYPE, "kid": key.id() });
        let mut token = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = key.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Some(token)
    }
}

/// Returns the subject of a token: who the client is, told so that no two clients are the same whatever proved them.
fn subject(client: Option<&Identity>) -> String {
    match client {
        None => "anonymous".to_owned(),
        Some(client) if client.is_by_certificate() => format!("certificate:{}", client.subject),
        Some(Identity { issuer: Some(issuer), subject, .. }) => format!("token:{issuer} {subject}"),
        Some(Identity { issuer: None, subject, .. }) => format!("key:{subject}"),
    }
}

#[cfg(test)]
mod tests;
