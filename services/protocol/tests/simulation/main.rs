//! Both ends of the link, joined by lossy wires in virtual time: whatever is cut, lost, restarted or refused, each call
//! ends exactly once, nothing is lost or doubled, and nothing is kept.
//!
//! `SIM_SEEDS=n` runs n seeds (600 without it), `SIM_SEED=n` just that one, `SIM_TRACE=1` shows every step.

#![allow(clippy::cast_possible_truncation, reason = "small numbers of a simulation")]

mod actions;
mod book;
mod flow;
mod links;
mod rng;
mod settle;
mod world;

use std::time::Duration;

use world::World;

/// Says how to repeat a run that fails.
struct Repeat(u64);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("repeat with: SIM_SEED={} SIM_TRACE=1 cargo test -p mcp-relay-protocol --test simulation", self.0);
        }
    }
}

fn step(world: &mut World) {
    let pair = world.any_pair();
    let slave = pair.1;
    match world.rng.below(1000) {
        0..=79 => world.client_opens(),
        80..=229 => world.backend_writes(),
        230..=289 => drop(world.backend_ends()),
        290..=399 => {
            let most = world.rng.between(1, 4);
            world.reader_takes(most);
        }
        400..=409 => world.client_cancels(),
        410..=419 => world.client_abandons(),
        420..=449 => world.client_replies(),
        450..=599 => {
            let most = world.rng.between(1, 6);
            world.proxy_writes(pair, most);
            world.slave_writes(pair, most);
        }
        600..=849 => {
            world.slave_reads(pair);
            world.proxy_reads(pair);
        }
        850..=869 => world.cut(pair),
        870..=894 => world.proxy_notices(pair),
        895..=919 => world.slave_notices(pair),
        920..=949 => world.reconnect(pair),
        950..=951 => world.restart(slave),
        952 => world.drain_slave(slave),
        953..=959 => world.set_catalog(slave),
        960..=989 => {
            let time = world.rng.between(1, 40);
            world.pass(Duration::from_millis(time as u64));
        }
        990..=996 => {
            let time = world.rng.between(1, 15);
            world.pass(Duration::from_secs(time as u64));
        }
        _ => {
            let time = world.rng.between(20, 60);
            world.pass(Duration::from_secs(time as u64));
        }
    }
    world.check();
}

fn run(seed: u64) {
    let _repeat = Repeat(seed);
    let mut world = World::new(seed);
    for pair in world.pairs() {
        world.reconnect(pair);
    }
    for _ in 0..world.rng.between(100, 1500) {
        step(&mut world);
    }
    world.settle();
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
