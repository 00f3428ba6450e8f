//! A set of public keys (RFC 7517), bounded, and without keys that verify nothing here. Must not know where it comes from.

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::algorithm::SigningAlgorithm;

/// Keys of one set, further ones are ignored.
const MAX_KEYS: usize = 100;

/// Keys that are tried for a token without the id of one.
const MAX_TRIED: usize = 8;

/// Characters of a key's id.
const MAX_KEY_ID: usize = 512;

/// Digest of a key, by which it is known again in another set.
pub(super) type KeyDigest = [u8; 32];

/// A public key.
#[derive(Clone, Debug)]
struct VerifyingKey {
    id: Option<String>,
    bound: Option<KeyAlgorithm>,
    parameters: AlgorithmParameters,
    key: DecodingKey,
    digest: KeyDigest,
}

/// The keys of an issuer.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(Vec<VerifyingKey>);

impl KeySet {
    /// Parses a set. Keys of unknown kinds, for encryption, and with a shared secret are left out.
    ///
    /// # Errors
    /// It is no set, or has no key that can be used.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text).map_err(|_| "it is no JWK set".to_owned())?;
        let keys: Vec<VerifyingKey> =
            set.keys.into_iter().take(MAX_KEYS).filter_map(VerifyingKey::read).collect();
        if keys.is_empty() {
            Err("its JWK set has no key that verifies signatures".to_owned())
        } else {
            Ok(Self(keys))
        }
    }

    /// Returns whether the set has the key.
    pub(super) fn contains(&self, key: &KeyDigest) -> bool {
        self.0.iter().any(|known| known.digest == *key)
    }

    /// Returns whether any key could have made a signature of this algorithm with this id of the key.
    pub(super) fn has_candidate(&self, id: Option<&str>, algorithm: SigningAlgorithm) -> bool {
        self.candidates(id, algorithm).next().is_some()
    }

    /// Returns the digest of the key that made this signature, if the set has it.
    pub(super) fn verify(
        &self,
        id: Option<&str>,
        algorithm: SigningAlgorithm,
        signature: &str,
        message: &[u8],
    ) -> Option<KeyDigest> {
        let is_made_by = |key: &&VerifyingKey| {
            let verified = jsonwebtoken::crypto::verify(signature, message, &key.key, algorithm.of_library());
            verified.is_ok_and(|is_valid| is_valid)
        };
        self.candidates(id, algorithm).take(MAX_TRIED).find(is_made_by).map(|key| key.digest)
    }

    fn candidates(
        &self,
        id: Option<&str>,
        algorithm: SigningAlgorithm,
    ) -> impl Iterator<Item = &VerifyingKey> {
        let named = move |key: &&VerifyingKey| id.is_none_or(|id| key.id.as_deref() == Some(id));
        self.0.iter().filter(named).filter(move |key| algorithm.fits(&key.parameters, key.bound))
    }
}

impl VerifyingKey {
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let common = &jwk.common;
        let is_for_signatures =
            common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
                && common.key_operations.as_ref().is_none_or(|list| list.contains(&KeyOperations::Verify));
        let is_public = matches!(
            jwk.algorithm,
            AlgorithmParameters::RSA(_)
                | AlgorithmParameters::EllipticCurve(_)
                | AlgorithmParameters::OctetKeyPair(_)
        );
        if !is_for_signatures || !is_public || common.key_id.as_ref().is_some_and(|id| id.len() > MAX_KEY_ID)
        {
            return None;
        }
        let digest = Sha256::digest(serde_json::to_vec(&jwk.algorithm).ok()?).into();
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self {
            id: jwk.common.key_id,
            bound: jwk.common.key_algorithm,
            parameters: jwk.algorithm,
            key,
            digest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC: &str = r#"{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

    fn parse(keys: &str) -> Result<KeySet, String> {
        KeySet::parse(format!("{{\"keys\":[{keys}]}}").as_bytes())
    }

    #[test]
    fn keys_that_verify_nothing_here_are_left_out() {
        let with = |member: &str| EC.replacen('{', &format!("{{{member},"), 1);
        for unusable in [
            r#"{"kty":"oct","k":"aHVzaA","kid":"a"}"#.to_owned(),
            r#"{"kty":"new","kid":"a"}"#.to_owned(),
            "5".to_owned(),
            with(r#""use":"enc""#),
            with(r#""key_ops":["sign"]"#),
            EC.replace("f83O", "!!!!"),
        ] {
            assert!(parse(&unusable).is_err(), "{unusable}");
            assert_eq!(parse(&format!("{unusable},{EC}")).unwrap().0.len(), 1, "{unusable}");
        }
        for none in ["", "[]", "{}", r#"{"keys":{}}"#] {
            assert!(KeySet::parse(none.as_bytes()).is_err(), "{none}");
        }
        assert_eq!(parse(&vec![EC; 1000].join(",")).unwrap().0.len(), MAX_KEYS);
    }

    #[test]
    fn a_key_stands_for_its_own_kind_of_signature_alone() {
        let set = parse(EC).unwrap();
        for (id, algorithm, found) in [
            (Some("a"), SigningAlgorithm::Es256, true),
            (None, SigningAlgorithm::Es256, true),
            (Some("b"), SigningAlgorithm::Es256, false),
            (Some("a"), SigningAlgorithm::Es384, false),
            (Some("a"), SigningAlgorithm::Rs256, false),
            (Some("a"), SigningAlgorithm::EdDsa, false),
        ] {
            assert_eq!(set.has_candidate(id, algorithm), found, "{id:?} {algorithm:?}");
        }
        let bound = parse(&EC.replacen('{', r#"{"alg":"ES384","#, 1)).unwrap();
        assert!(!bound.has_candidate(Some("a"), SigningAlgorithm::Es256));
    }
}
