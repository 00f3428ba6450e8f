//! Session ids of legacy clients: sealed tokens, so that no replica of a proxy stores sessions.
//!
//! `base64url(format byte ‖ nonce ‖ encrypted(issue time ‖ random id ‖ protocol version ‖ client capabilities))` with XChaCha20-Poly1305.
//! The digest of the client's key is associated data. Must not know HTTP, nor which sessions were revoked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, Tag, XChaCha20Poly1305, XNonce};
use protocol::mcp::era::{Era, Version};

use runtime::secret::{SessionKey, SessionKeys};

use crate::principal::Principal;

/// First byte of a token, which names its format.
const TOKEN_FORMAT: u8 = 2;
/// Longest capabilities in a token, in bytes of JSON: a token travels in a header of each request.
pub(crate) const MAX_CAPABILITIES: usize = 1024;
const NONCE_LEN: usize = 24;
const ID_LEN: usize = SESSION_ID_LEN;
/// Bytes of a session's id.
pub(crate) const SESSION_ID_LEN: usize = 16;
const VERSION_LEN: usize = 10;
/// Bytes of what is sealed, without capabilities.
const SEALED_LEN: usize = 8 + ID_LEN + VERSION_LEN;
const TAG_LEN: usize = 16;
const TOKEN_LEN: usize = 1 + NONCE_LEN + SEALED_LEN + TAG_LEN;
/// Length of the longest token in characters.
pub(crate) const MAX_TOKEN_CHARS: usize = (TOKEN_LEN + MAX_CAPABILITIES).div_ceil(3) * 4;
/// Largest tolerated difference between the clocks of two replicas, in seconds.
pub(crate) const MAX_CLOCK_SKEW: u64 = 300;

/// Contents of a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Random id, known only to holders of the key.
    pub(crate) id: [u8; ID_LEN],
    /// Version agreed on by `initialize`.
    pub(crate) version: Version,
    /// End of the token's validity, in seconds since 1970.
    pub(crate) expires: u64,
    /// Capabilities that the client declared, a JSON object; `None`: none.
    pub(crate) capabilities: Option<Arc<str>>,
}

impl Session {
    /// Returns the key that call headers carry: the id in hexadecimal digits.
    pub(crate) fn key(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
        self.id.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
    }

    /// Returns the id that a key of call headers stands for; `None` for a malformed key.
    pub(crate) fn id_of(key: &str) -> Option<[u8; ID_LEN]> {
        let fits = key.len() == 2 * ID_LEN && key.bytes().all(|b| b.is_ascii_hexdigit());
        let number = fits.then(|| u128::from_str_radix(key, 16).ok())??;
        Some(number.to_be_bytes())
    }
}

/// Issuer and reader of tokens.
pub(crate) struct Sealer {
    ciphers: ArcSwap<Ciphers>,
    ttl: u64,
}

/// The ciphers of the keys in force.
struct Ciphers {
    seal: XChaCha20Poly1305,
    open: Vec<XChaCha20Poly1305>,
}

impl Ciphers {
    fn new(keys: &SessionKeys) -> Self {
        let cipher = |key: &SessionKey| XChaCha20Poly1305::new(&Key::from(*key.bytes()));
        Self { seal: cipher(keys.seal()), open: keys.open().map(cipher).collect() }
    }
}

impl Sealer {
    /// Creates a sealer with the keys of all replicas. Tokens are valid for `ttl` from their issue.
    pub(crate) fn new(keys: &SessionKeys, ttl: Duration) -> Self {
        Self { ciphers: ArcSwap::from_pointee(Ciphers::new(keys)), ttl: ttl.as_secs() }
    }

    /// Replaces the keys.
    pub(crate) fn replace_keys(&self, keys: &SessionKeys) {
        self.ciphers.store(std::sync::Arc::new(Ciphers::new(keys)));
    }

    /// Returns the token of a new session; `None` only if the system has no random numbers. `now` in seconds since
    /// 1970, `capabilities` a JSON object of at most [`MAX_CAPABILITIES`] bytes.
    pub(crate) fn issue(
        &self,
        version: Version,
        capabilities: Option<&str>,
        principal: &Principal,
        now: u64,
    ) -> Option<String> {
        let capabilities = capabilities.filter(|json| json.len() <= MAX_CAPABILITIES).unwrap_or_default();
        let mut token = vec![0; TOKEN_LEN + capabilities.len()];
        token[0] = TOKEN_FORMAT;
        let (nonce, rest) = token[1..].split_at_mut(NONCE_LEN);
        let (sealed, tag) = rest.split_at_mut(SEALED_LEN + capabilities.len());
        getrandom::fill(nonce).ok()?;
        sealed[..8].copy_from_slice(&now.to_be_bytes());
        getrandom::fill(&mut sealed[8..8 + ID_LEN]).ok()?;
        sealed[8 + ID_LEN..SEALED_LEN].copy_from_slice(version.as_str().as_bytes());
        sealed[SEALED_LEN..].copy_from_slice(capabilities.as_bytes());
        let nonce = XNonce::try_from(&*nonce).ok()?;
        let ciphers = self.ciphers.load();
        let computed =
            ciphers.seal.encrypt_inout_detached(&nonce, &principal.digest(), sealed.into()).ok()?;
        tag.copy_from_slice(&computed);
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// Returns the session of a token; `None` if the token is malformed, altered, sealed with another key, bound to
    /// another identity, or expired.
    pub(crate) fn open(&self, text: &[u8], principal: &Principal, now: u64) -> Option<Session> {
        if text.len() > MAX_TOKEN_CHARS {
            return None;
        }
        let mut token = URL_SAFE_NO_PAD.decode(text).ok()?;
        if token.len() < TOKEN_LEN || token[0] != TOKEN_FORMAT {
            return None;
        }
        let (nonce, rest) = token[1..].split_at_mut(NONCE_LEN);
        let (sealed, tag) = rest.split_at_mut(rest.len() - TAG_LEN);
        let (nonce, tag) = (XNonce::try_from(&*nonce).ok()?, Tag::try_from(&*tag).ok()?);
        let ciphers = self.ciphers.load();
        let mut opened = ciphers.open.iter().filter_map(|cipher| {
            let mut sealed = sealed.to_vec();
            let data = principal.digest();
            cipher.decrypt_inout_detached(&nonce, &data, sealed.as_mut_slice().into(), &tag).ok()?;
            Some(sealed)
        });
        let sealed = opened.next()?;
        let issued = u64::from_be_bytes(sealed[..8].try_into().ok()?);
        let version = Version::parse(std::str::from_utf8(&sealed[8 + ID_LEN..SEALED_LEN]).ok()?)?;
        let capabilities = std::str::from_utf8(&sealed[SEALED_LEN..]).ok()?;
        let capabilities = (!capabilities.is_empty()).then(|| capabilities.into());
        let expires = issued.saturating_add(self.ttl);
        let is_valid_now = issued <= now.saturating_add(MAX_CLOCK_SKEW) && now < expires;
        let id = sealed[8..8 + ID_LEN].try_into().ok()?;
        (is_valid_now && version.era() == Era::Legacy).then_some(Session {
            id,
            version,
            expires,
            capabilities,
        })
    }

    /// Seals bytes for one session of one client; `None` only if the system has no random numbers.
    pub(crate) fn seal(&self, plain: &[u8], principal: &Principal, session: &[u8; ID_LEN]) -> Option<String> {
        let mut token = vec![0; NONCE_LEN + plain.len()];
        let (nonce, sealed) = token.split_at_mut(NONCE_LEN);
        getrandom::fill(nonce).ok()?;
        sealed.copy_from_slice(plain);
        let nonce = XNonce::try_from(&*nonce).ok()?;
        let data = bound_to(principal, session);
        let tag = self.ciphers.load().seal.encrypt_inout_detached(&nonce, &data, sealed.into()).ok()?;
        token.extend_from_slice(&tag);
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// Returns what [`Self::seal`] sealed for this session of this client.
    pub(crate) fn unseal(
        &self,
        text: &[u8],
        principal: &Principal,
        session: &[u8; ID_LEN],
    ) -> Option<Vec<u8>> {
        if text.len() > MAX_TOKEN_CHARS { None } else { self.unseal_long(text, principal, session) }
    }

    /// Returns what [`Self::seal`] sealed for this session of this client, of any length.
    pub(crate) fn unseal_long(
        &self,
        text: &[u8],
        principal: &Principal,
        session: &[u8; ID_LEN],
    ) -> Option<Vec<u8>> {
        let token = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, rest) = token.split_at_checked(NONCE_LEN)?;
        let (sealed, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_LEN)?)?;
        let (nonce, tag) = (XNonce::try_from(nonce).ok()?, Tag::try_from(tag).ok()?);
        let data = bound_to(principal, session);
        let ciphers = self.ciphers.load();
        ciphers.open.iter().find_map(|cipher| {
            let mut plain = sealed.to_vec();
            cipher.decrypt_inout_detached(&nonce, &data, plain.as_mut_slice().into(), &tag).ok()?;
            Some(plain)
        })
    }
}

/// Associated data of what is sealed for a session; that of tokens is shorter.
fn bound_to(principal: &Principal, session: &[u8; ID_LEN]) -> Vec<u8> {
    [b"session\n".as_slice(), &principal.digest(), session].concat()
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use runtime::keys::Key;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn principal(key: &str) -> Principal {
        Principal::of(&Key::of(key))
    }

    fn keys(keys: &[u8]) -> SessionKeys {
        let mut keys = keys.iter().map(|key| SessionKey::derive(&key.to_string()));
        SessionKeys::new(keys.next().unwrap(), keys.next())
    }

    fn sealer(key: u8) -> Sealer {
        Sealer::new(&keys(&[key]), Duration::from_secs(100))
    }

    #[test]
    fn an_issued_token_opens_until_it_expires() {
        let token = sealer(1).issue(Version::V2025_06_18, None, &Principal::ANYONE, NOW).unwrap();
        assert!(token.len() <= MAX_TOKEN_CHARS);
        assert!(token.bytes().all(|b| (0x21..=0x7e).contains(&b)));
        let session = sealer(1).open(token.as_bytes(), &Principal::ANYONE, NOW + 99).unwrap();
        assert_eq!((session.version, session.expires), (Version::V2025_06_18, NOW + 100));
        assert_eq!(session.key().len(), 32);
        assert_eq!(Session::id_of(&session.key()), Some(session.id));
        assert_eq!(Session::id_of("+0000000000000000000000000000000"), None);
        assert!(session.key().starts_with(&format!("{:02x}{:02x}", session.id[0], session.id[1])));
        assert!(!token.contains(&session.key()));
        assert_eq!(sealer(1).open(token.as_bytes(), &Principal::ANYONE, NOW + 100), None, "expired");
        assert_eq!(
            sealer(1).open(token.as_bytes(), &Principal::ANYONE, NOW - MAX_CLOCK_SKEW - 1),
            None,
            "from the future"
        );
    }

    #[test]
    fn a_token_carries_the_client_s_capabilities_unless_they_are_too_long() {
        let carried = |capabilities: &str| {
            let sealer = sealer(1);
            let token =
                sealer.issue(Version::V2025_11_25, Some(capabilities), &Principal::ANYONE, NOW).unwrap();
            sealer
                .open(token.as_bytes(), &Principal::ANYONE, NOW)
                .unwrap()
                .capabilities
                .map(|json| json.to_string())
        };
        for json in
            [r#"{"roots":{"x":1e400}}"#, &format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_CAPABILITIES - 8))]
        {
            assert_eq!(carried(json).as_deref(), Some(json));
        }
        assert_eq!(carried(&"x".repeat(MAX_CAPABILITIES + 1)), None);
    }

    #[test]
    fn another_key_or_another_identity_opens_no_token() {
        let token = sealer(1).issue(Version::V2025_11_25, None, &principal("seven"), NOW).unwrap();
        assert!(sealer(1).open(token.as_bytes(), &principal("seven"), NOW).is_some());
        assert_eq!(sealer(2).open(token.as_bytes(), &principal("seven"), NOW), None);
        assert_eq!(sealer(1).open(token.as_bytes(), &principal("eight"), NOW), None);
        let other = sealer(1).issue(Version::V2025_11_25, None, &principal("seven"), NOW).unwrap();
        assert_ne!(token, other);
    }

    /// The order of a rollout: each replica opens the tokens of those that are a step ahead or behind.
    #[test]
    fn a_key_is_replaced_without_the_loss_of_a_session() {
        let steps = [&[1][..], &[1, 2], &[2, 1], &[2]];
        let sealers = steps.map(|step| Sealer::new(&keys(step), Duration::from_secs(100)));
        let token =
            |sealer: &Sealer| sealer.issue(Version::V2025_11_25, None, &Principal::ANYONE, NOW).unwrap();
        for (step, pair) in sealers.windows(2).enumerate() {
            for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                assert!(to.open(token(from).as_bytes(), &Principal::ANYONE, NOW).is_some(), "step {step}");
            }
        }
        assert!(sealers[3].open(token(&sealers[0]).as_bytes(), &Principal::ANYONE, NOW).is_none());
        let old = token(&sealers[0]);
        sealers[0].replace_keys(&keys(&[2, 1]));
        assert!(sealers[0].open(old.as_bytes(), &Principal::ANYONE, NOW).is_some());
        sealers[0].replace_keys(&keys(&[2]));
        assert!(sealers[0].open(old.as_bytes(), &Principal::ANYONE, NOW).is_none());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..220)) {
            prop_assert_eq!(sealer(1).open(&text, &Principal::ANYONE, NOW), None);
        }

        #[test]
        fn arbitrary_tokens_of_the_right_length_are_refused(bytes in proptest::collection::vec(any::<u8>(), TOKEN_LEN)) {
            let text = URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert_eq!(sealer(1).open(text.as_bytes(), &Principal::ANYONE, NOW), None);
        }

        #[test]
        fn a_token_with_a_flipped_bit_is_refused(at in 0..TOKEN_LEN * 8) {
            let token = sealer(1).issue(Version::V2025_11_25, None, &Principal::ANYONE, NOW).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
            bytes[at / 8] ^= 1 << (at % 8);
            let text = URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert_eq!(sealer(1).open(text.as_bytes(), &Principal::ANYONE, NOW), None);
        }
    }
}
