//! Attempts to sign in: bounded for each user and each address. Must not know passwords.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use parking_lot::Mutex;
use runtime::admission::Network;

/// Length of a window, in seconds.
const WINDOW: u64 = 15 * 60;
/// Failed attempts in a window for one user from one network, for one user, and from one network.
const PER_USER_AND_NETWORK: u32 = 10;
const PER_USER: u32 = 100;
const PER_NETWORK: u32 = 50;
/// Most entries of each kind; beyond that the oldest windows are forgotten.
const MAX_ENTRIES: usize = 10_000;

/// The failed attempts of the present windows.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    both: Table<(String, Option<Network>)>,
    users: Table<String>,
    networks: Table<Option<Network>>,
}

#[derive(Debug)]
struct Table<K>(HashMap<K, Window>);

#[derive(Clone, Copy, Debug)]
struct Window {
    began: u64,
    count: u32,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// Too many attempts; the seconds until the next may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany(pub(crate) u64);

impl Attempts {
    /// Counts an attempt, which counts as failed until [`Self::succeed`]. A name that no user has is counted for its network alone, so
    /// that names that are made up do not fill the table.
    ///
    /// # Errors
    /// There were too many.
    pub(crate) fn begin(&self, user: Option<&str>, peer: Option<IpAddr>, now: u64) -> Result<(), TooMany> {
        let network = peer.map(Network::from);
        let mut counts = self.0.lock();
        let waits = [
            user.and_then(|user| counts.both.wait(&(user.to_owned(), network), PER_USER_AND_NETWORK, now)),
            user.and_then(|user| counts.users.wait(&user.to_owned(), PER_USER, now)),
            counts.networks.wait(&network, PER_NETWORK, now),
        ];
        if let Some(seconds) = waits.into_iter().flatten().max() {
            return Err(TooMany(seconds));
        }
        if let Some(user) = user {
            counts.both.add((user.to_owned(), network), now);
            counts.users.add(user.to_owned(), now);
        }
        counts.networks.add(network, now);
        Ok(())
    }

    /// Takes the last attempt of a user back: it was no failure.
    pub(crate) fn succeed(&self, user: &str, peer: Option<IpAddr>) {
        let network = peer.map(Network::from);
        let mut counts = self.0.lock();
        counts.both.0.remove(&(user.to_owned(), network));
        counts.users.take_back(&user.to_owned());
        counts.networks.take_back(&network);
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    /// Returns the seconds to wait, where the limit is reached.
    fn wait(&self, key: &K, limit: u32, now: u64) -> Option<u64> {
        let window = self.0.get(key)?;
        let end = window.began.saturating_add(WINDOW);
        (window.count >= limit && now < end).then(|| end - now)
    }

    fn add(&mut self, key: K, now: u64) {
        if self.0.len() >= MAX_ENTRIES && !self.0.contains_key(&key) {
            self.forget(now);
        }
        let window = self.0.entry(key).or_insert(Window { began: now, count: 0 });
        if now >= window.began.saturating_add(WINDOW) {
            *window = Window { began: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
    }

    fn take_back(&mut self, key: &K) {
        if let Some(window) = self.0.get_mut(key) {
            window.count = window.count.saturating_sub(1);
        }
    }

    fn forget(&mut self, now: u64) {
        self.0.retain(|_, window| now < window.began.saturating_add(WINDOW));
        if self.0.len() >= MAX_ENTRIES {
            let oldest = self.0.iter().min_by_key(|(_, window)| window.began).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.0.remove(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "addresses are optional")]
    fn peer(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn attempts_are_bounded_for_user_and_network_and_both() {
        let attempts = Attempts::default();
        for _ in 0..PER_USER_AND_NETWORK {
            assert_eq!(attempts.begin(Some("ann"), peer(1), 100), Ok(()));
        }
        assert_eq!(attempts.begin(Some("ann"), peer(1), 160), Err(TooMany(WINDOW - 60)));
        assert_eq!(attempts.begin(Some("ann"), peer(2), 160), Ok(()), "from elsewhere the user gets in");
        assert_eq!(attempts.begin(Some("bob"), peer(1), 160), Ok(()));
        assert_eq!(attempts.begin(Some("ann"), peer(1), 100 + WINDOW), Ok(()), "the next window");
        let guesser = Attempts::default();
        for _ in 0..PER_NETWORK {
            assert_eq!(guesser.begin(None, peer(1), 100), Ok(()));
        }
        assert!(
            guesser.begin(None, peer(1), 100).is_err() && guesser.begin(Some("ann"), peer(1), 100).is_err()
        );
        let many = Attempts::default();
        let from_everywhere =
            (0..=PER_USER).map(|n| many.begin(Some("ann"), peer(u8::try_from(n).unwrap()), 100));
        assert!(from_everywhere.into_iter().any(|begun| begun.is_err()));
    }

    #[test]
    fn a_sign_in_that_succeeds_is_no_failure() {
        let attempts = Attempts::default();
        for _ in 0..10 * PER_USER {
            assert_eq!(attempts.begin(Some("ann"), peer(1), 100), Ok(()));
            attempts.succeed("ann", peer(1));
        }
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let attempts = Attempts::default();
        for n in 0..2 * u32::try_from(MAX_ENTRIES).unwrap() {
            attempts.begin(None, Some(IpAddr::from(n.to_be_bytes())), 100).unwrap();
        }
        assert!(attempts.0.lock().networks.0.len() <= MAX_ENTRIES);
    }
}
