//! Picking of the slave that takes a call: power of two choices by load, weights, stickiness. Must not know queues.
//!
//! A slave is picked together with a permit on it, so that two calls never share the last one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::active_calls::{Busy, Permit};
use super::host::Host;
use crate::metrics;
use crate::stable_hash::{fnv1a_64, mix};

/// Weight of a slave without a weight of its own, in percent.
pub(crate) const DEFAULT_WEIGHT: u32 = 100;

/// Weights of a pool's members by their keys. `None`: all members have the same.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Weights(Option<BTreeMap<u64, u32>>);

impl Weights {
    /// Takes keys and weights in percent, at least 1.
    pub(crate) fn new(slaves: impl Iterator<Item = (u64, u32)>) -> Self {
        let weights: BTreeMap<u64, u32> = slaves.collect();
        let mut values = weights.values();
        let first = values.next().copied();
        if values.all(|weight| Some(*weight) == first) { Self(None) } else { Self(Some(weights)) }
    }

    fn of(&self, key: u64) -> u32 {
        let weight = self.0.as_ref().and_then(|weights| weights.get(&key));
        weight.map_or(DEFAULT_WEIGHT, |weight| (*weight).max(1))
    }
}

/// Which slaves may be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Those that have answered what was sent to them.
    Answering,
    /// Also those that owe an answer for so long that they may be paused.
    All,
}

/// How to pick a slave.
pub(crate) struct PickPolicy<'a> {
    /// Random number, uniform over 64 bits.
    pub(crate) random: u64,
    pub(crate) weights: &'a Weights,
    /// With stickiness: a hash of the client, whose calls stay together.
    pub(crate) sticky_seed: Option<u64>,
    pub(crate) reach: Reach,
}

/// Why no member has capacity, from the worst reason to the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NoCapacity {
    /// No member takes calls at all.
    Absent,
    /// All members that take calls are at their capacity.
    Full,
    /// A member is below its capacity but at its rate limit.
    Limited,
}

/// A slave and a permit for one call on it.
pub(crate) struct Picked<'a, H> {
    pub(crate) slave: &'a Arc<H>,
    pub(crate) permit: Permit,
}

/// Picks the less loaded of two random members, which are drawn by weight and are not the same; if neither can take the call, any member that
/// can. Degraded members come last. With stickiness picks the client's own member, or the next one in the client's order.
/// Takes constant time while all weights are equal and one of the two can take the call.
pub(crate) fn pick<'a, H: Host>(
    members: &'a [Arc<H>],
    policy: &PickPolicy<'_>,
) -> Result<Picked<'a, H>, NoCapacity> {
    let mut picker = Picker { reach: policy.reach, reason: NoCapacity::Absent };
    if let Some(seed) = policy.sticky_seed {
        return picker.rendezvous_pick(members, seed, policy.weights).ok_or(picker.reason);
    }
    let (low, high) = (policy.random & 0xffff_ffff, policy.random >> 32);
    let Some(one) = draw(members, policy.weights, low, None) else { return Err(NoCapacity::Absent) };
    let two = draw(members, policy.weights, high, Some(one)).unwrap_or(one);
    let (one, two) = (&members[one], &members[two]);
    let load = |slave: &H| slave.active().load(policy.weights.of(slave.key()));
    let (first, second) = if load(two).is_less_than(load(one)) { (two, one) } else { (one, two) };
    let start = usize::try_from(low).unwrap_or(0) % members.len();
    let others = members[start..].iter().chain(&members[..start]);
    let order = [first, second].into_iter().chain(others);
    let healthy = order.clone().find_map(|slave| picker.acquire_if_healthy(slave));
    healthy.or_else(|| order.clone().find_map(|slave| picker.acquire(slave))).ok_or(picker.reason)
}

/// Draws the index of a random member by weight, of one other than `except`. `random` has 32 bits. `None`: there is none.
fn draw<H: Host>(members: &[Arc<H>], weights: &Weights, random: u64, except: Option<usize>) -> Option<usize> {
    let scale = |total: u64| u64::try_from((u128::from(random) * u128::from(total)) >> 32).unwrap_or(0);
    if weights.0.is_none() {
        let others = members.len().checked_sub(usize::from(except.is_some())).filter(|others| *others > 0)?;
        let drawn = usize::try_from(scale(others as u64)).unwrap_or(0);
        return Some(drawn + usize::from(except.is_some_and(|except| drawn >= except)));
    }
    let weight =
        |index: usize| if except == Some(index) { 0 } else { u64::from(weights.of(members[index].key())) };
    let mut left = scale((0..members.len()).map(weight).sum());
    (0..members.len()).find(|index| {
        let weight = weight(*index);
        let is_hit = left < weight;
        left = left.saturating_sub(weight);
        is_hit
    })
}

/// A search for a permit.
struct Picker {
    reach: Reach,
    /// The best reason so far why there is no permit.
    reason: NoCapacity,
}

impl Picker {
    fn acquire_if_healthy<'a, H: Host>(&mut self, slave: &'a Arc<H>) -> Option<Picked<'a, H>> {
        if slave.is_degraded() { None } else { self.acquire(slave) }
    }

    fn acquire<'a, H: Host>(&mut self, slave: &'a Arc<H>) -> Option<Picked<'a, H>> {
        if self.reach == Reach::Answering && slave.is_overdue() {
            return None;
        }
        let reason = match slave.try_acquire()? {
            Ok(permit) => return Some(Picked { slave, permit }),
            Err(Busy::AtCapacity) => NoCapacity::Full,
            Err(Busy::RateLimited(_)) => NoCapacity::Limited,
        };
        self.reason = self.reason.max(reason);
        None
    }

    /// Picks by rendezvous hashing: each client has an order of its own of the members, in which a member that comes or
    /// goes moves no other member.
    fn rendezvous_pick<'a, H: Host>(
        &mut self,
        members: &'a [Arc<H>],
        seed: u64,
        weights: &Weights,
    ) -> Option<Picked<'a, H>> {
        let score = |slave: &Arc<H>| rendezvous_score(&**slave, seed, weights);
        let best = members.iter().max_by(|a, b| score(a).total_cmp(score(b)))?;
        if let Some(picked) = self.acquire_if_healthy(best) {
            return Some(picked);
        }
        let mut order: Vec<&Arc<H>> = members.iter().collect();
        order.sort_by(|a, b| score(b).total_cmp(score(a)));
        let healthy = order.iter().find_map(|slave| self.acquire_if_healthy(slave));
        let picked = healthy.or_else(|| order.iter().find_map(|slave| self.acquire(slave)))?;
        metrics::record_sticky_miss();
        Some(picked)
    }
}

/// Score of a slave in a client's order: by the slave's name, which outlives the process, then by the process.
#[derive(Clone, Copy)]
struct Score(f64, u64);

impl Score {
    fn total_cmp(&self, other: Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

/// Returns the score of weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables").
fn rendezvous_score(slave: &impl Host, seed: u64, weights: &Weights) -> Score {
    let hash = mix(seed ^ fnv1a_64(slave.name().as_bytes()));
    // In (0, 1), with 52 bits, which an f64 represents exactly.
    let uniform = ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    Score(f64::from(weights.of(slave.key())) / -uniform.ln(), mix(seed ^ slave.key()))
}

#[cfg(test)]
mod tests;
