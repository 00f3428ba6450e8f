//! Session tokens that were opened recently, so that a busy session is not decrypted for each of its requests.
//!
//! The cache has a fixed size and may drop any entry at any time: no session depends on it. Must not know HTTP.

use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use crate::principal::Principal;
use crate::session::{MAX_TOKEN_CHARS, Session};

/// Number of entries. A session whose token maps to an occupied entry replaces what is there.
const CAPACITY: usize = 512;

struct CachedSession {
    token: Box<[u8]>,
    principal: Principal,
    session: Session,
}

/// Direct-mapped cache from tokens to sessions.
pub(crate) struct SessionCache {
    entries: Mutex<Vec<Option<CachedSession>>>,
}

impl Default for SessionCache {
    fn default() -> Self {
        let mut entries = Vec::new();
        entries.resize_with(CAPACITY, || None);
        Self { entries: Mutex::new(entries) }
    }
}

impl SessionCache {
    /// Returns the session of a token that was opened for this identity before and has not expired. `now` in seconds
    /// since 1970.
    pub(crate) fn get(&self, token: &[u8], principal: &Principal, now: u64) -> Option<Session> {
        let entries = self.entries.lock();
        let entry = entries.get(index_of(token))?.as_ref()?;
        let is_same = bool::from(entry.token.ct_eq(token)) && entry.principal == *principal;
        (is_same && now < entry.session.expires).then(|| entry.session.clone())
    }

    /// Forgets all tokens.
    pub(crate) fn clear(&self) {
        self.entries.lock().fill_with(|| None);
    }

    /// Remembers a token that was opened.
    pub(crate) fn insert(&self, token: &[u8], principal: Principal, session: &Session) {
        if token.len() > MAX_TOKEN_CHARS {
            return;
        }
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(index_of(token)) {
            *entry = Some(CachedSession { token: token.into(), principal, session: session.clone() });
        }
    }
}

/// Returns the index of a token's entry. Characters 4 to 7 of a token encode random bits of its nonce.
fn index_of(token: &[u8]) -> usize {
    let nonce = token.get(4..8).unwrap_or_default();
    nonce.iter().fold(0, |hash: usize, byte| hash.wrapping_mul(67) ^ usize::from(*byte)) % CAPACITY
}

#[cfg(test)]
mod tests {
    use protocol::mcp::era::Version;

    use runtime::keys::Key;

    use super::*;

    const LENGTH: usize = 100;

    fn principal(key: &str) -> Principal {
        Principal::of(&Key::of(key))
    }

    fn session() -> Session {
        Session { id: [7; 16], version: Version::V2025_06_18, expires: 100, capabilities: None }
    }

    #[test]
    fn a_token_is_found_for_its_identity_until_it_expires() {
        let cache = SessionCache::default();
        let token = [b'a'; LENGTH];
        assert_eq!(cache.get(&token, &Principal::ANYONE, 1), None);
        cache.insert(&token, Principal::ANYONE, &session());
        assert_eq!(cache.get(&token, &Principal::ANYONE, 99), Some(session()));
        assert_eq!(cache.get(&token, &Principal::ANYONE, 100), None);
        assert_eq!(cache.get(&token, &principal("1"), 1), None);
        cache.clear();
        assert_eq!(cache.get(&token, &Principal::ANYONE, 99), None);
    }

    #[test]
    fn a_token_that_differs_anywhere_is_not_found() {
        let cache = SessionCache::default();
        cache.insert(&[b'a'; LENGTH], Principal::ANYONE, &session());
        for index in 0..LENGTH {
            let mut other = [b'a'; LENGTH];
            other[index] = b'b';
            assert_eq!(cache.get(&other, &Principal::ANYONE, 1), None, "character {index}");
        }
        assert_eq!(cache.get(b"aaaaaaaaaaaa", &Principal::ANYONE, 1), None);
    }
}
