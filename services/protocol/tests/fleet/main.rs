//! Simulation of a fleet in virtual time: proxies, slaves and clients with both ends' state machines, and a network that delays,
//! blocks and breaks connections, with processes that are paused, killed, drained and started again.
//!
//! Whatever happens, each call ends once and in time, none runs twice, responses are what was written, and at the end
//! no memory is kept. `SIM_SEEDS=n` runs n seeds, `SIM_SEED=n` just that one, `SIM_STEPS=n` sets the number of actions
//! in a run, `SIM_TRACE=1` shows them.

#![allow(clippy::cast_possible_truncation, reason = "small numbers of a simulation")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod chaos;
mod clock;
mod dispatch;
#[path = "../simulation/flow.rs"]
mod flow;
mod net;
mod proxy;
mod record;
mod resume;
#[path = "../simulation/rng.rs"]
mod rng;
mod slave;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use world::World;

/// Number of seeds of a test run.
const SEEDS: u64 = 12;

/// Number of actions for each seed; about an hour of virtual time.
const STEPS: u64 = 2500;

/// Prints how to repeat a run that fails.
struct ReproductionHint(u64, u64);

impl Drop for ReproductionHint {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "repeat with: SIM_SEED={} SIM_STEPS={} SIM_TRACE=1 cargo test -p mcp-relay-protocol --test fleet",
                self.0, self.1
            );
        }
    }
}

fn run(seed: u64, steps: u64) -> World {
    let _hint = ReproductionHint(seed, steps);
    let mut world = World::new(seed, steps as usize);
    world.choose_weights();
    while world.steps > 0 {
        world.run(world.clock.now() + Duration::from_mins(1));
    }
    world.finish();
    world
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn each_call_of_a_fleet_runs_at_most_once_ends_in_time_and_nothing_is_kept() {
    let steps = setting("SIM_STEPS").unwrap_or(STEPS);
    let one = setting("SIM_SEED");
    let seeds = one.map_or(0..setting("SIM_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let (began, mut time, mut counts) = (Instant::now(), Duration::ZERO, BTreeMap::<_, u64>::new());
    for seed in seeds.clone() {
        let world = run(seed, steps);
        time += world.clock.now();
        for (what, count) in &world.records.borrow().counts {
            *counts.entry(*what).or_default() += count;
        }
    }
    println!(
        "seeds {seeds:?}: {:.1} hours of the fleet in {:.1} s: {counts:?}",
        time.as_secs_f64() / 3600.0,
        began.elapsed().as_secs_f64()
    );
    if one.is_none() && seeds.end >= SEEDS && steps >= STEPS {
        for what in
            ["answered", "outcome_unknown", "timeout", "no_slave", "broken", "given_up", "moved", "resumed"]
        {
            assert!(counts.contains_key(what), "{what} never happened: this proves nothing about it");
        }
    }
}

#[test]
fn a_seed_repeats_its_run() {
    let course = |seed| {
        let world = run(seed, 300);
        (world.clock.now(), world.records.borrow().counts.clone(), world.last_conn)
    };
    assert_eq!(course(3), course(3));
}
