//! Session tokens that were opened lately, so that a busy session is not unsealed for each of its requests.
//!
//! A cache of fixed size that may forget anything at any time: no session depends on it. Must not know HTTP.

use parking_lot::Mutex;

use subtle::ConstantTimeEq;

use crate::keys::Principal;
use crate::session::{Session, TEXT};

/// Places; a session that falls on another's takes it over.
const PLACES: usize = 512;

struct Entry {
    token: [u8; TEXT],
    who: Principal,
    session: Session,
}

/// The cache.
pub(crate) struct Recent {
    places: Mutex<Vec<Option<Entry>>>,
}

impl Default for Recent {
    fn default() -> Self {
        let mut places = Vec::new();
        places.resize_with(PLACES, || None);
        Self { places: Mutex::new(places) }
    }
}

impl Recent {
    /// The session of a token that was found good for this caller before, and that has not expired since.
    pub(crate) fn find(&self, token: &[u8], who: &Principal, now: u64) -> Option<Session> {
        let places = self.places.lock();
        let entry = places.get(place(token))?.as_ref()?;
        let same = bool::from(entry.token.ct_eq(token)) && entry.who == *who;
        (same && now < entry.session.expires).then(|| entry.session.clone())
    }

    /// Remembers a token that was found good.
    pub(crate) fn keep(&self, token: &[u8], who: Principal, session: &Session) {
        let Ok(token) = <[u8; TEXT]>::try_from(token) else { return };
        let mut places = self.places.lock();
        if let Some(slot) = places.get_mut(place(&token)) {
            *slot = Some(Entry { token, who, session: session.clone() });
        }
    }
}

/// A token's characters from the second four on encode its random nonce.
fn place(token: &[u8]) -> usize {
    let nonce = token.get(4..8).unwrap_or_default();
    nonce.iter().fold(0, |hash: usize, byte| hash.wrapping_mul(67) ^ usize::from(*byte)) % PLACES
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
        let recent = Recent::default();
        let token = [b'a'; TEXT];
        assert_eq!(recent.find(&token, &Principal::ANYONE, 1), None);
        recent.keep(&token, Principal::ANYONE, &session());
        assert_eq!(recent.find(&token, &Principal::ANYONE, 99), Some(session()));
        assert_eq!(recent.find(&token, &Principal::ANYONE, 100), None);
        assert_eq!(recent.find(&token, &Principal([1; 32]), 1), None);
    }

    #[test]
    fn a_token_that_differs_anywhere_is_not_found() {
        let recent = Recent::default();
        recent.keep(&[b'a'; TEXT], Principal::ANYONE, &session());
        for index in 0..TEXT {
            let mut other = [b'a'; TEXT];
            other[index] = b'b';
            assert_eq!(recent.find(&other, &Principal::ANYONE, 1), None, "character {index}");
        }
        assert_eq!(recent.find(b"aaaaaaaaaaaa", &Principal::ANYONE, 1), None);
    }
}
