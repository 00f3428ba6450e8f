//! Sessions that clients ended before their tokens expire: the only sessions that cost memory, and bounded.
//! Must not know tokens.

use parking_lot::Mutex;
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::session::Session;

/// Most ended sessions remembered. Beyond it those that expire first are forgotten: their tokens would be
/// accepted again until they expire, which opens nothing, since an ended session has no state.
const MAX_REVOKED: usize = 100_000;

#[derive(Default)]
struct Inner {
    ids: HashSet<[u8; 16]>,
    by_expiry: BTreeSet<(u64, [u8; 16])>,
}

/// The set.
#[derive(Default)]
pub(crate) struct RevokedSessions {
    any: AtomicBool,
    inner: Mutex<Inner>,
}

impl RevokedSessions {
    /// Remembers a session until its token expires. `now` in seconds since 1970.
    pub(crate) fn add(&self, session: &Session, now: u64) {
        self.add_id(session.id, session.expires, now);
    }

    /// The same for a session of which only the id is known. `expires`: no token of it is good any more.
    pub(crate) fn add_id(&self, id: [u8; 16], expires: u64, now: u64) {
        let mut inner = self.lock();
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

    /// Whether it was ended.
    pub(crate) fn has(&self, session: &Session) -> bool {
        self.any.load(Ordering::Acquire) && self.lock().ids.contains(&session.id)
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

#[cfg(test)]
mod tests {
    use protocol::mcp::era::Version;

    use super::*;

    fn session(number: usize, expires: u64) -> Session {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Session { id, version: Version::V2025_11_25, expires }
    }

    #[test]
    fn remembers_until_expiry_and_never_more_than_the_bound() {
        let ended = RevokedSessions::default();
        assert!(!ended.has(&session(0, 10)));
        for number in 0..MAX_REVOKED + 5 {
            ended.add(&session(number, 10 + number as u64), 0);
        }
        assert_eq!(ended.lock().ids.len(), MAX_REVOKED);
        assert!(!ended.has(&session(4, 14)) && ended.has(&session(5, 15)));
        ended.add(&session(7, 17), u64::MAX);
        let inner = ended.lock();
        assert_eq!((inner.ids.len(), inner.by_expiry.len()), (1, 1), "the expired are gone");
    }
}
