//! Which of several slaves takes a call: two choices by burden, weights, stickiness. Knows nothing of queues.
//!
//! A slave is only chosen together with a place on it, so that two calls never take the last place both.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::client::{Client, fnv};
use crate::links::{InFlight, Slave, Turned};
use crate::metrics;

/// What an ordinary slave weighs, in percent.
pub(super) const ORDINARY: u32 = 100;

/// What the members of a pool weigh against each other, by their keys. `None`: all the same.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Weights(Option<BTreeMap<u64, u32>>);

impl Weights {
    /// Of each slave and its weight in percent, at least 1.
    pub(super) fn new(slaves: impl Iterator<Item = (u64, u32)>) -> Self {
        let weights: BTreeMap<u64, u32> = slaves.collect();
        let mut values = weights.values();
        let first = values.next().copied();
        if values.all(|weight| Some(*weight) == first) { Self(None) } else { Self(Some(weights)) }
    }

    fn of(&self, slave: &Slave) -> u32 {
        self.0
            .as_ref()
            .and_then(|weights| weights.get(&slave.key))
            .map_or(ORDINARY, |weight| (*weight).max(1))
    }
}

/// How to choose.
pub(super) struct How<'a> {
    /// Uniform over 64 bits.
    pub(super) random: u64,
    pub(super) weights: &'a Weights,
    /// Whose calls stay together.
    pub(super) sticky: Option<Client>,
}

/// Why no member has a place. A later one is better news than an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NoPlace {
    /// None takes calls at all.
    Absent,
    /// All that take calls are full.
    Full,
    /// One would have room, but its rate limit refuses.
    Limited,
}

/// A slave and a place on it.
pub(super) type Chosen<'a> = (&'a Arc<Slave>, InFlight);

/// The less burdened of two random members, each as likely as it is heavy; any that can take the call, if neither
/// does. Degraded members come last. With stickiness the client's own member, or its next one. Constant time while the weights are the same and
/// the two have room.
pub(super) fn choose<'a>(members: &'a [Arc<Slave>], how: &How<'_>) -> Result<Chosen<'a>, NoPlace> {
    let mut search = Search(NoPlace::Absent);
    if let Some(client) = how.sticky {
        return search.stick(members, client.seed(), how.weights).ok_or(search.0);
    }
    let (low, high) = (how.random & 0xffff_ffff, how.random >> 32);
    let (Some(one), Some(two)) = (pick(members, how.weights, low), pick(members, how.weights, high)) else {
        return Err(NoPlace::Absent);
    };
    let burden = |slave: &Slave| slave.load.burden(how.weights.of(slave));
    let (first, second) = if burden(two).is_less_than(burden(one)) { (two, one) } else { (one, two) };
    let start = usize::try_from(low).unwrap_or(0) % members.len();
    let others = members[start..].iter().chain(&members[..start]);
    let order = [first, second].into_iter().chain(others);
    let well = order.clone().find_map(|slave| search.enter_if_well(slave));
    well.or_else(|| order.clone().find_map(|slave| search.enter(slave))).ok_or(search.0)
}

/// A random member by weight. `random`: 32 bits.
fn pick<'a>(members: &'a [Arc<Slave>], weights: &Weights, random: u64) -> Option<&'a Arc<Slave>> {
    let part = |of: u64| u64::try_from((u128::from(random) * u128::from(of)) >> 32).unwrap_or(0);
    if weights.0.is_none() {
        return members.get(usize::try_from(part(members.len() as u64)).unwrap_or(0));
    }
    let weight = |slave: &Arc<Slave>| u64::from(weights.of(slave));
    let mut left = part(members.iter().map(weight).sum());
    members.iter().find(|slave| {
        let mine = weight(slave);
        let hit = left < mine;
        left = left.saturating_sub(mine);
        hit
    })
}

/// Where the search stands: the best reason so far why there is no place.
struct Search(NoPlace);

impl Search {
    fn enter_if_well<'a>(&mut self, slave: &'a Arc<Slave>) -> Option<Chosen<'a>> {
        if slave.is_degraded() { None } else { self.enter(slave) }
    }

    fn enter<'a>(&mut self, slave: &'a Arc<Slave>) -> Option<Chosen<'a>> {
        let reason = match slave.try_enter() {
            None => return None,
            Some(Ok(place)) => return Some((slave, place)),
            Some(Err(Turned::Full)) => NoPlace::Full,
            Some(Err(Turned::Until(_))) => NoPlace::Limited,
        };
        self.0 = self.0.max(reason);
        None
    }

    /// Rendezvous hashing: each client has its own order of the members, which a member that comes or goes changes
    /// only where it stands itself.
    fn stick<'a>(&mut self, members: &'a [Arc<Slave>], seed: u64, weights: &Weights) -> Option<Chosen<'a>> {
        let rank = |slave: &Arc<Slave>| rank(slave, seed, weights);
        let best = members.iter().max_by(|a, b| rank(a).total_cmp(rank(b)))?;
        if let Some(chosen) = self.enter_if_well(best) {
            return Some(chosen);
        }
        let mut order: Vec<&Arc<Slave>> = members.iter().collect();
        order.sort_by(|a, b| rank(b).total_cmp(rank(a)));
        let well = order.iter().find_map(|slave| self.enter_if_well(slave));
        let chosen = well.or_else(|| order.iter().find_map(|slave| self.enter(slave)))?;
        metrics::record_sticky_miss();
        Some(chosen)
    }
}

/// Where a slave stands in a client's order: by its name, which outlives its process, then by its process.
#[derive(Clone, Copy)]
struct Rank(f64, u64);

impl Rank {
    fn total_cmp(&self, other: Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

/// Weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables").
fn rank(slave: &Slave, seed: u64, weights: &Weights) -> Rank {
    let hash = mix(seed ^ fnv(slave.name.as_bytes()));
    // In (0, 1), with the 52 bits that an f64 has room for.
    let uniform = ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    Rank(f64::from(weights.of(slave)) / -uniform.ln(), mix(seed ^ slave.key))
}

/// Spreads a number over all 64 bits (Steele et al., `SplitMix64`).
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
