//! Amounts of a resource that peers hold at the same time, counted in total and for each peer. Must not know the
//! resource: connections and bytes are counted alike.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use foldhash::quality::RandomState;
use parking_lot::Mutex;

/// Largest amounts that may be held at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// By all peers together.
    pub total: usize,
    /// By one peer.
    pub each: usize,
}

/// The limit that a request for more would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// That of all peers together.
    Total,
    /// That of one peer.
    Each,
}

/// The amounts held by peers, named by `K`. Memory is bounded by the number of peers that hold something. Clones share
/// the counts.
#[derive(Debug)]
pub struct Shares<K>(Arc<Mutex<Table<K>>>);

#[derive(Debug)]
struct Table<K> {
    used: usize,
    by_peer: HashMap<K, usize, RandomState>,
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Table { used: 0, by_peer: HashMap::default() })))
    }
}

impl<K: Clone + Eq + Hash> Shares<K> {
    /// Returns a share of nothing yet. A share without a peer counts in the total only.
    pub fn empty(&self, peer: Option<K>) -> Share<K> {
        Share { shares: self.clone(), peer, amount: 0 }
    }

    /// Takes `amount` for a peer, if the limits allow it.
    pub fn take(&self, peer: Option<K>, amount: usize, limits: Limits) -> Result<Share<K>, Exhausted> {
        let mut share = self.empty(peer);
        share.grow(amount, limits)?;
        Ok(share)
    }

    /// Returns the amount that all peers hold.
    pub fn used(&self) -> usize {
        self.0.lock().used
    }
}

/// What one holder has of a resource. Returned when it is dropped.
#[derive(Debug)]
pub struct Share<K: Clone + Eq + Hash> {
    shares: Shares<K>,
    peer: Option<K>,
    amount: usize,
}

impl<K: Clone + Eq + Hash> Share<K> {
    /// Adds `more` to the share, if the limits allow it; else the share stays as it is.
    pub fn grow(&mut self, more: usize, limits: Limits) -> Result<(), Exhausted> {
        let mut table = self.shares.0.lock();
        let used = table.used.saturating_add(more);
        let held = self.peer.as_ref().and_then(|peer| table.by_peer.get(peer)).copied().unwrap_or(0);
        if self.peer.is_some() && held.saturating_add(more) > limits.each {
            return Err(Exhausted::Each);
        }
        if used > limits.total {
            return Err(Exhausted::Total);
        }
        table.used = used;
        if let Some(peer) = &self.peer {
            match table.by_peer.get_mut(peer) {
                Some(held) => *held += more,
                None => _ = table.by_peer.insert(peer.clone(), more),
            }
        }
        self.amount += more;
        Ok(())
    }

    /// Returns the amount of this share.
    pub fn amount(&self) -> usize {
        self.amount
    }
}

impl<K: Clone + Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut table = self.shares.0.lock();
        table.used -= self.amount;
        let Some(peer) = &self.peer else { return };
        if let Some(held) = table.by_peer.get_mut(peer) {
            *held -= self.amount;
            if *held == 0 {
                table.by_peer.remove(peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { total: 10, each: 4 };

    #[test]
    fn neither_one_peer_nor_all_of_them_exceed_their_limit() {
        let shares = Shares::default();
        let first = shares.take(Some("a"), 4, LIMITS).unwrap();
        assert_eq!(shares.take(Some("a"), 1, LIMITS).unwrap_err(), Exhausted::Each);
        let second = shares.take(Some("b"), 4, LIMITS).unwrap();
        assert_eq!(shares.take(Some("c"), 3, LIMITS).unwrap_err(), Exhausted::Total);
        let unnamed = shares.take(None, 2, LIMITS).unwrap();
        assert_eq!(shares.take(Some("c"), 1, LIMITS).unwrap_err(), Exhausted::Total);
        drop(first);
        assert_eq!((shares.used(), unnamed.amount()), (6, 2));
        assert!(shares.take(Some("a"), 4, LIMITS).is_ok());
        drop((second, unnamed));
        assert_eq!(shares.used(), 0);
        assert!(shares.0.lock().by_peer.is_empty(), "who holds nothing is not remembered");
    }

    #[test]
    fn a_share_that_cannot_grow_stays_as_it_is() {
        let shares = Shares::default();
        let mut share = shares.take(Some("a"), 3, LIMITS).unwrap();
        assert_eq!(share.grow(2, LIMITS), Err(Exhausted::Each));
        assert_eq!((share.amount(), shares.used()), (3, 3));
        share.grow(3, Limits { each: 6, ..LIMITS }).unwrap();
        assert_eq!((share.amount(), shares.used()), (6, 6));
        assert_eq!(share.grow(usize::MAX, LIMITS), Err(Exhausted::Each));
    }
}
