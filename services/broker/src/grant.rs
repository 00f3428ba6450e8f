//! The records of a grant: what a user allowed a client, in each of its forms. Must not know how they are sealed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The user of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Name that the user signs in with; unique at the broker.
    #[serde(rename = "n")]
    pub name: String,
    /// Groups of the user.
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Digest of the user's password hash at the sign-in: a grant ends with the password.
    #[serde(rename = "p")]
    pub(crate) stamp: String,
    /// Whether the user is one of the identity provider, not of the file.
    #[serde(rename = "o", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) outside: bool,
}

/// What a user allowed a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// Random id of all codes and tokens of the grant: they are revoked together.
    #[serde(rename = "f")]
    pub(crate) family: String,
    /// Digest of the client's id.
    #[serde(rename = "c")]
    pub(crate) client: String,
    #[serde(rename = "u")]
    pub(crate) subject: Subject,
    #[serde(rename = "s")]
    pub(crate) scopes: Vec<String>,
    /// Audience.
    #[serde(rename = "r")]
    pub(crate) resource: String,
    /// Absolute end of everything of the grant, in seconds since 1970.
    #[serde(rename = "e")]
    pub(crate) ends: u64,
}

/// An authorization code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Code {
    #[serde(rename = "i")]
    pub(crate) id: [u8; 16],
    #[serde(rename = "g")]
    pub(crate) grant: Grant,
    /// Redirect URI of the request, and whether the request named it.
    #[serde(rename = "d")]
    pub(crate) redirect: String,
    #[serde(rename = "k")]
    pub(crate) challenge: String,
    /// Whether refresh tokens follow.
    #[serde(rename = "r")]
    pub(crate) refresh: bool,
    #[serde(rename = "x")]
    pub(crate) expires: u64,
}

/// An access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AccessToken {
    #[serde(rename = "g")]
    pub(crate) grant: Grant,
    #[serde(rename = "x")]
    pub(crate) expires: u64,
}

/// A refresh token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RefreshToken {
    #[serde(rename = "g")]
    pub(crate) grant: Grant,
    /// Position in the family, from 0.
    #[serde(rename = "n")]
    pub(crate) generation: u64,
    #[serde(rename = "i")]
    pub(crate) id: [u8; 16],
}

/// Returns a random id; `None` only if the system has no random numbers.
pub(crate) fn random_id() -> Option<[u8; 16]> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).ok()?;
    Some(id)
}

/// Returns a random id as text.
pub(crate) fn random_text() -> Option<String> {
    random_id().map(|id| URL_SAFE_NO_PAD.encode(id))
}

/// Returns the SHA-256 of a text in base64url, as S256 of RFC 7636 has it.
pub(crate) fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}
