//! A rate limiter for each of many keys, in bounded memory. Must not know what the keys are.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;

use super::quota::quota;
use crate::config::Rate;

type Limiter<K> = governor::RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

/// Limiter of the rate of calls with one limit for each key.
pub(crate) struct KeyedLimiter<K: Hash + Eq + Clone> {
    rate: Rate,
    limiter: ArcSwap<Limiter<K>>,
    max_keys: usize,
}

impl<K: Hash + Eq + Clone> KeyedLimiter<K> {
    /// Returns a limiter that tells `max_keys` keys apart. Beyond that, keys whose limit is unused are forgotten; if most
    /// limits are in use, all keys are.
    pub(crate) fn new(rate: Rate, max_keys: usize) -> Self {
        Self { rate, limiter: ArcSwap::from_pointee(Limiter::hashmap(quota(rate))), max_keys }
    }

    /// Returns the configured rate.
    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Uses one call of the key's limit and returns `None`; if there is none left, returns when there will be one.
    pub(crate) fn take(&self, key: &K) -> Option<Instant> {
        let limiter = self.limiter.load();
        if limiter.len() >= self.max_keys {
            limiter.retain_recent();
            if limiter.len() > self.max_keys / 2 {
                self.limiter.store(Arc::new(Limiter::hashmap(quota(self.rate))));
            }
        }
        let refused = limiter.check_key(key).err()?;
        Some(Instant::now() + refused.wait_time_from(DefaultClock::default().now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_keys_is_bounded() {
        let keyed = KeyedLimiter::new(Rate::parse("1/h").unwrap(), 100);
        for key in 0..10_000_u64 {
            assert!(keyed.take(&key).is_none(), "key {key} has made no call yet");
            assert!(keyed.limiter.load().len() <= 100);
        }
        assert!(keyed.take(&9_999).is_some());
    }
}
