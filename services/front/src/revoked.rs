//! Sessions that clients ended before their tokens expire: the only sessions that cost memory, in a bounded number.
//! Must not know tokens.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::session::Session;

/// Most revoked sessions remembered. Beyond it those that expire first are forgotten: their tokens are accepted again
/// until they expire, which gives access to nothing, since an ended session has no state.
const MAX_REVOKED: usize = 100_000;

#[derive(Default)]
struct Inner {
    ids: HashSet<[u8; 16]>,
    by_expiry: BTreeSet<(u64, [u8; 16])>,
}

/// Set of revoked sessions.
#[derive(Default)]
pub(crate) struct RevokedSessions {
    /// Whether a session was ever inserted: while none was, lookups take no lock.
    any: AtomicBool,
    inner: Mutex<Inner>,
}

impl RevokedSessions {
    /// Remembers a session until its token expires. `now` in seconds since 1970.
    pub(crate) fn insert(&self, session: &Session, now: u64) {
        self.insert_id(session.id, session.expires, now);
    }

    /// Remembers a session of which only the id is known. From `expires` on, in seconds since 1970, none of its tokens
    /// can be valid.
    pub(crate) fn insert_id(&self, id: [u8; 16], expires: u64, now: u64) {
        let mut inner = self.inner.lock();
        while inner.by_expiry.first().is_some_and(|(expires, _)| *expires <= now)
            || inner.ids.len() >= MAX_REVOKED
        {
            let Some((_, oldest)) = inner.by_expiry.pop_first() else { break };
            inner.ids.remove(&oldest);
        }
        if inner.ids.insert(id) {
            inner.by_expiry.insert((expires, id));
        }
        self.any.store(true, Ordering::Release);
    }

    /// Whether a session was revoked.
    pub(crate) fn contains(&self, session: &Session) -> bool {
        self.any.load(Ordering::Acquire) && self.inner.lock().ids.contains(&session.id)
    }
}

#[cfg(test)]
mod tests {
    use protocol::mcp::era::Version;

    use super::*;

    fn session(number: usize, expires: u64) -> Session {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Session { id, version: Version::V2025_11_25, expires, capabilities: None }
    }

    #[test]
    fn sessions_are_remembered_until_they_expire_and_never_more_than_the_bound() {
        let revoked = RevokedSessions::default();
        assert!(!revoked.contains(&session(0, 10)));
        for number in 0..MAX_REVOKED + 5 {
            revoked.insert(&session(number, 10 + number as u64), 0);
        }
        assert_eq!(revoked.inner.lock().ids.len(), MAX_REVOKED);
        assert!(!revoked.contains(&session(4, 14)) && revoked.contains(&session(5, 15)));
        revoked.insert(&session(7, 17), u64::MAX);
        let inner = revoked.inner.lock();
        assert_eq!((inner.ids.len(), inner.by_expiry.len()), (1, 1), "expired sessions are removed");
    }
}
