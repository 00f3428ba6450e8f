//! Session tokens that were opened lately, so that a busy session is not unsealed for each of its requests.
//!
//! A cache of fixed size that may forget anything at any time: no session depends on it. Must not know HTTP.

use parking_lot::Mutex;

use subtle::ConstantTimeEq;

use crate::keys::Principal;
use crate::session::{Session, TOKEN_CHARS};

/// Places; a session that falls on another's takes it over.
const CAPACITY: usize = 512;

struct CachedSession {
    token: [u8; TOKEN_CHARS],
    principal: Principal,
    session: Session,
}

/// The cache.
pub(crate) struct SessionCache {
    sessions: Mutex<Vec<Option<CachedSession>>>,
}

impl Default for SessionCache {
    fn default() -> Self {
        let mut sessions = Vec::new();
        sessions.resize_with(CAPACITY, || None);
        Self { sessions: Mutex::new(sessions) }
    }
}

impl SessionCache {
    /// The session of a token that was found good for this caller before, and that has not expired since.
    pub(crate) fn find(&self, token: &[u8], principal: &Principal, now: u64) -> Option<Session> {
        let sessions = self.sessions.lock();
        let entry = sessions.get(index_of(token))?.as_ref()?;
        let same = bool::from(entry.token.ct_eq(token)) && entry.principal == *principal;
        (same && now < entry.session.expires).then(|| entry.session.clone())
    }

    /// Remembers a token that was found good.
    pub(crate) fn keep(&self, token: &[u8], principal: Principal, session: &Session) {
        let Ok(token) = <[u8; TOKEN_CHARS]>::try_from(token) else { return };
        let mut sessions = self.sessions.lock();
        if let Some(slot) = sessions.get_mut(index_of(&token)) {
            *slot = Some(CachedSession { token, principal, session: session.clone() });
        }
    }
}

/// A token's characters from the second four on encode its random nonce.
fn index_of(token: &[u8]) -> usize {
    let nonce = token.get(4..8).unwrap_or_default();
    nonce.iter().fold(0, |hash: usize, byte| hash.wrapping_mul(67) ^ usize::from(*byte)) % CAPACITY
}

#[cfg(test)]
mod tests {
    use protocol::mcp::era::Version;

    use super::*;

    fn session() -> Session {
        Session { id: [7; 16], version: Version::V2025_06_18, expires: 100 }
    }

    #[test]
    fn a_token_is_found_for_its_caller_until_it_expires() {
        let recent = SessionCache::default();
        let token = [b'a'; TOKEN_CHARS];
        assert_eq!(recent.find(&token, &Principal::ANYONE, 1), None);
        recent.keep(&token, Principal::ANYONE, &session());
        assert_eq!(recent.find(&token, &Principal::ANYONE, 99), Some(session()));
        assert_eq!(recent.find(&token, &Principal::ANYONE, 100), None);
        assert_eq!(recent.find(&token, &Principal([1; 32]), 1), None);
    }

    #[test]
    fn a_token_that_differs_anywhere_is_not_found() {
        let recent = SessionCache::default();
        recent.keep(&[b'a'; TOKEN_CHARS], Principal::ANYONE, &session());
        for index in 0..TOKEN_CHARS {
            let mut other = [b'a'; TOKEN_CHARS];
            other[index] = b'b';
            assert_eq!(recent.find(&other, &Principal::ANYONE, 1), None, "character {index}");
        }
        assert_eq!(recent.find(b"aaaaaaaaaaaa", &Principal::ANYONE, 1), None);
    }
}
