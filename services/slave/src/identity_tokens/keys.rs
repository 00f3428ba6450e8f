//! The keys of `IDENTITY_KEY_FILE`: read from PEM, as signers and as public keys (RFC 7517). Must not know tokens.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Keys that a file may have.
const MAX_KEYS: usize = 8;

/// Why a file is no file of keys. Never shows what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// It has none.
    #[error("a PEM file with a private key without a password")]
    None,
    /// It has too many.
    #[error("at most {MAX_KEYS} keys")]
    TooMany,
    /// A key cannot sign here.
    #[error("keys of Ed25519 or ECDSA P-256 (openssl genpkey -algorithm ed25519)")]
    Kind,
}

/// The keys of a file. The first one signs; the others are published, too, so that a key can be known before and after it is used.
pub struct SigningKeys {
    first: SigningKey,
    others: Vec<SigningKey>,
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all().map(|key| &key.id)).finish()
    }
}

impl SigningKeys {
    /// Reads the content of a file.
    pub fn read(content: &[u8]) -> Result<Self, KeyFileError> {
        let mut keys = Vec::new();
        for der in PrivateKeyDer::pem_slice_iter(content) {
            keys.push(SigningKey::read(&der.map_err(|_| KeyFileError::None)?).ok_or(KeyFileError::Kind)?);
        }
        if keys.len() > MAX_KEYS {
            return Err(KeyFileError::TooMany);
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(KeyFileError::None)?;
        Ok(Self { first, others: keys.collect() })
    }

    /// Returns the number of keys.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }

    fn all(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Returns the public keys (RFC 7517, 4).
    pub(super) fn public(&self) -> Vec<Value> {
        let public = |key: &SigningKey| {
            let mut members = key.members.clone();
            members["kid"] = json!(key.id);
            members["alg"] = json!(key.algorithm());
            members["use"] = json!("sig");
            members
        };
        self.all().map(public).collect()
    }

    pub(super) fn signing(&self) -> &SigningKey {
        &self.first
    }
}

/// A key.
pub(super) struct SigningKey {
    pair: Pair,
    /// The members that its thumbprint is made of (RFC 7638, 3.2).
    members: Value,
    /// The thumbprint.
    id: String,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl SigningKey {
    fn read(der: &PrivateKeyDer<'_>) -> Option<Self> {
        let bytes = der.secret_der();
        let pair = match Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes) {
            Ok(pair) => Pair::Ed25519(pair),
            Err(_) => {
                Pair::P256(EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes).ok()?)
            }
        };
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let members = match &pair {
            Pair::Ed25519(pair) => {
                json!({ "crv": "Ed25519", "kty": "OKP", "x": encode(pair.public_key().as_ref()) })
            }
            Pair::P256(pair) => {
                // An uncompressed point: 4, and both coordinates.
                let (x, y) = pair.public_key().as_ref().get(1..)?.split_at_checked(32)?;
                json!({ "crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y) })
            }
        };
        // The members of a `Value` are in the order of their names, as the thumbprint wants them.
        let id = encode(&Sha256::digest(members.to_string()));
        Some(Self { pair, members, id })
    }

    /// Returns the key's id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the name of its signatures' algorithm.
    pub(super) fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ed25519(_) => "EdDSA",
            Pair::P256(_) => "ES256",
        }
    }

    /// Signs a message.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.pair {
            Pair::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Pair::P256(pair) => Some(pair.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec()),
        }
    }
}
