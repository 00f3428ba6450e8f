//! Sealed records: what the broker hands out and must get back unaltered. `prefix ‖ base64url(nonce ‖ encrypted(JSON) ‖ tag)` with
//! XChaCha20-Poly1305. Must not know what the records say.

use std::fmt;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, Tag, XChaCha20Poly1305, XNonce};
use runtime::secret::{SessionKey, SessionKeys};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

/// Longest record, in characters.
pub(crate) const MAX_CHARS: usize = 16 * 1024;

/// What a record is for. A record of one purpose opens as no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A client's id.
    Client,
    /// A step of a sign-in.
    Flow,
    /// The cookie of a browser.
    Browser,
    /// A user who is at the identity provider.
    Provider,
    /// An authorization code.
    Code,
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
}

impl Purpose {
    /// What records of this purpose begin with; also their associated data.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Client => "mrc1_",
            Self::Flow => "mrf1_",
            Self::Browser => "mrb1_",
            Self::Provider => "mrp1_",
            Self::Code => "mro1_",
            Self::Access => "mra1_",
            Self::Refresh => "mrr1_",
        }
    }
}

/// Sealer and opener of records.
pub(crate) struct Vault(ArcSwap<Ciphers>);

struct Ciphers {
    seal: XChaCha20Poly1305,
    open: Vec<XChaCha20Poly1305>,
}

impl Ciphers {
    fn new(keys: &SessionKeys) -> Self {
        Self { seal: cipher(keys.seal()), open: keys.open().map(cipher).collect() }
    }
}

/// The broker's own cipher: a session token opens as none of its records, nor the other way round.
fn cipher(key: &SessionKey) -> XChaCha20Poly1305 {
    let derived: [u8; 32] =
        Sha256::new().chain_update(b"mcp-relay broker key 1\0").chain_update(key.bytes()).finalize().into();
    XChaCha20Poly1305::new(&Key::from(derived))
}

impl Vault {
    pub(crate) fn new(keys: &SessionKeys) -> Self {
        Self(ArcSwap::from_pointee(Ciphers::new(keys)))
    }

    pub(crate) fn replace(&self, keys: &SessionKeys) {
        self.0.store(std::sync::Arc::new(Ciphers::new(keys)));
    }

    /// Returns the sealed record; `None` only if the system has no random numbers, or the record is too long.
    pub(crate) fn seal<T: Serialize>(&self, purpose: Purpose, record: &T) -> Option<String> {
        let plain = serde_json::to_vec(record).ok()?;
        let mut token = vec![0; NONCE_LEN + plain.len()];
        let (nonce, sealed) = token.split_at_mut(NONCE_LEN);
        getrandom::fill(nonce).ok()?;
        sealed.copy_from_slice(&plain);
        let nonce = XNonce::try_from(&*nonce).ok()?;
        let data = purpose.prefix().as_bytes();
        let tag = self.0.load().seal.encrypt_inout_detached(&nonce, data, sealed.into()).ok()?;
        token.extend_from_slice(&tag);
        let text = format!("{}{}", purpose.prefix(), URL_SAFE_NO_PAD.encode(token));
        (text.len() <= MAX_CHARS).then_some(text)
    }

    /// Returns the record of a text; `None` if it is malformed, altered, of another purpose or sealed with another key. Does not look at
    /// times.
    pub(crate) fn open<T: DeserializeOwned>(&self, purpose: Purpose, text: &str) -> Option<T> {
        if text.len() > MAX_CHARS {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(text.strip_prefix(purpose.prefix())?).ok()?;
        let (nonce, rest) = token.split_at_checked(NONCE_LEN)?;
        let (sealed, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_LEN)?)?;
        let (nonce, tag) = (XNonce::try_from(nonce).ok()?, Tag::try_from(tag).ok()?);
        let data = purpose.prefix().as_bytes();
        let ciphers = self.0.load();
        let plain = ciphers.open.iter().find_map(|cipher| {
            let mut plain = sealed.to_vec();
            cipher.decrypt_inout_detached(&nonce, data, plain.as_mut_slice().into(), &tag).ok()?;
            Some(plain)
        })?;
        serde_json::from_slice(&plain).ok()
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PURPOSES: [Purpose; 7] = [
        Purpose::Client,
        Purpose::Flow,
        Purpose::Provider,
        Purpose::Browser,
        Purpose::Code,
        Purpose::Access,
        Purpose::Refresh,
    ];

    fn vault(texts: &[&str]) -> Vault {
        let mut keys = texts.iter().map(|text| SessionKey::derive(text));
        Vault::new(&SessionKeys::new(keys.next().unwrap(), keys.next()))
    }

    #[test]
    fn a_record_opens_for_its_purpose_alone_and_with_every_key_in_force() {
        for sealed in PURPOSES {
            let text = vault(&["one"]).seal(sealed, &"hush").unwrap();
            assert!(!text.contains("hush") && text.bytes().all(|byte| byte.is_ascii_graphic()));
            for opened in PURPOSES {
                let moved = text.replacen(sealed.prefix(), opened.prefix(), 1);
                let expected = (sealed == opened).then(|| "hush".to_owned());
                assert_eq!(
                    vault(&["one"]).open::<String>(opened, &moved),
                    expected,
                    "{sealed:?} as {opened:?}"
                );
            }
            assert!(vault(&["two", "one"]).open::<String>(sealed, &text).is_some());
            assert!(vault(&["two"]).open::<String>(sealed, &text).is_none());
        }
        let replaced = vault(&["one"]);
        let text = replaced.seal(Purpose::Code, &1).unwrap();
        replaced.replace(&SessionKey::derive("two").into());
        assert_eq!(replaced.open::<u8>(Purpose::Code, &text), None);
    }

    #[test]
    fn a_record_that_is_too_long_is_not_made() {
        assert!(vault(&["one"]).seal(Purpose::Client, &"x".repeat(MAX_CHARS)).is_none());
    }

    proptest! {
        #[test]
        fn an_altered_record_opens_nowhere(at in 0_usize..10_000, bit in 0..8_u8) {
            let vault = vault(&["one"]);
            let mut text = vault.seal(Purpose::Access, &"a record of some length").unwrap().into_bytes();
            let at = at % text.len();
            text[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(text) {
                prop_assert_eq!(vault.open::<String>(Purpose::Access, &text), None);
            }
        }

        #[test]
        fn arbitrary_texts_open_nowhere(text in "(mr[cfbopra]1_)?[ -~]{0,300}") {
            for purpose in PURPOSES {
                prop_assert_eq!(vault(&["one"]).open::<serde_json::Value>(purpose, &text), None);
            }
        }
    }
}
