//! Simulation of both ends of the link with lossy connections in virtual time: whatever is cut, lost, restarted or refused, each
//! call ends exactly once, nothing is lost or doubled, and no memory is kept.
//!
//! `SIM_SEEDS=n` runs n seeds (600 without it), `SIM_SEED=n` just that one, `SIM_TRACE=1` shows every step.

#![allow(clippy::cast_possible_truncation, reason = "small numbers of a simulation")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod actions;
mod finish;
mod flow;
mod foreign;
mod hostile;
mod links;
mod record;
mod rng;
mod world;

use std::time::Duration;

use protocol::link::proxy_end::ProxyEnd;
use world::World;

/// Prints how to repeat a run that fails.
struct ReproductionHint(u64);

impl Drop for ReproductionHint {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "repeat with: SIM_SEED={} SIM_TRACE=1 cargo test -p mcp-relay-protocol --test simulation",
                self.0
            );
        }
    }
}

type Action = fn(&mut World);

/// Actions with their average weights, in thousandths.
const ACTIONS: [(usize, Action); 19] = [
    (80, World::client_opens),
    (150, World::backend_writes),
    (60, |world| {
        world.backend_ends();
    }),
    (110, |world| {
        let most = world.rng.between(1, 4);
        world.reader_takes(most);
    }),
    (10, World::client_cancels),
    (10, World::client_abandons),
    (75, |world| {
        let (pair, most) = (world.any_pair(), world.rng.between(1, 6));
        world.proxy_writes(pair, most);
    }),
    (75, |world| {
        let (pair, most) = (world.any_pair(), world.rng.between(1, 6));
        world.slave_writes(pair, most);
    }),
    (125, |world| {
        let pair = world.any_pair();
        world.slave_reads(pair);
    }),
    (125, |world| {
        let pair = world.any_pair();
        world.proxy_reads(pair);
    }),
    (20, |world| {
        let pair = world.any_pair();
        world.cut(pair);
    }),
    (25, |world| {
        let pair = world.any_pair();
        world.proxy_notices_cut(pair);
    }),
    (25, |world| {
        let pair = world.any_pair();
        world.slave_notices_cut(pair);
    }),
    (30, |world| {
        let pair = world.any_pair();
        world.reconnect(pair);
    }),
    (2, |world| {
        let slave = world.any_pair().slave;
        world.restart(slave);
    }),
    (5, World::client_session_changes),
    (1, |world| {
        let pair = world.any_pair();
        world.at_proxy(pair, record::Cause::Traffic, ProxyEnd::drain);
    }),
    (8, |world| {
        let slave = world.any_pair().slave;
        if world.rng.one_in(8) { world.drain_slave(slave) } else { world.set_catalog(slave) }
    }),
    (40, |world| {
        let time = match world.rng.below(40) {
            0..=29 => world.rng.between(1, 40),
            30..=37 => world.rng.between(1000, 15_000),
            _ => world.rng.between(20_000, 60_000),
        };
        world.pass(Duration::from_millis(time as u64));
    }),
];

/// Chooses the weights of a run. Each seed has its own, so that rare sequences are common in some runs.
fn weights(world: &mut World) -> Vec<usize> {
    let weights = ACTIONS.iter().map(|(often, _)| often * [1, 4, 4, 4, 10, 40][world.rng.below(6)] / 4);
    weights.map(|weight| weight.max(1)).collect()
}

fn step(world: &mut World, weights: &[usize]) {
    let mut at = world.rng.below(weights.iter().sum());
    for (weight, (_, action)) in weights.iter().zip(ACTIONS) {
        if at < *weight {
            action(world);
            break;
        }
        at -= weight;
    }
    world.check();
}

fn run(seed: u64) {
    let _hint = ReproductionHint(seed);
    let mut world = World::new(seed);
    let weights = weights(&mut world);
    for pair in world.pairs() {
        world.reconnect(pair);
    }
    for _ in 0..world.rng.between(100, 1500) {
        step(&mut world, &weights);
    }
    world.finish();
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn every_call_ends_once_and_nothing_is_lost_doubled_or_kept() {
    if let Some(seed) = setting("SIM_SEED") {
        return run(seed);
    }
    for seed in 0..setting("SIM_SEEDS").unwrap_or(600) {
        run(seed);
    }
}

/// Returns a source of so many choices of a seed.
fn choices(seed: u64, many: usize) -> impl FnMut(usize) -> Option<usize> {
    let mut rng = rng::Rng::new(seed);
    let mut left = many;
    move |bound| {
        left = left.checked_sub(1)?;
        Some(rng.below(bound))
    }
}

#[test]
fn a_proxy_withstands_a_hostile_slave() {
    for seed in 0..setting("SIM_SEEDS").unwrap_or(600) {
        let _hint = ReproductionHint(seed);
        hostile::slave(&mut choices(seed, 5000));
    }
}

#[test]
fn a_slave_withstands_a_hostile_proxy() {
    for seed in 0..setting("SIM_SEEDS").unwrap_or(600) {
        let _hint = ReproductionHint(seed);
        hostile::proxy(&mut choices(seed, 5000));
    }
}
