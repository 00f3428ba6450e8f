//! Shares of calls are what the weights say; clients stay where they are.

use std::collections::HashMap;

use protocol::link::handshake::SlaveHello;
use protocol::link::limits::LinkLimits;
use protocol::mcp::catalog::Catalog;

use super::*;

/// Slaves of these capacities, called `s0`, `s1`, …
fn slaves(capacities: &[u32]) -> Vec<Arc<Slave>> {
    let slave = |(n, capacity): (usize, &u32)| {
        let hello = SlaveHello { slave_name: format!("s{n}"), capacity: *capacity, ..SlaveHello::default() };
        Slave::for_test(&hello, n as u64 + 1, LinkLimits::default(), Catalog::default())
    };
    capacities.iter().enumerate().map(slave).collect()
}

fn weights(of: &[u32]) -> Weights {
    Weights::new(of.iter().enumerate().map(|(n, weight)| (n as u64 + 1, *weight)))
}

fn client(n: u64) -> Client {
    Client::Session(mix(n))
}

/// Shares of `calls` calls; each stays under way until `under_way` others came after it.
fn shares(members: &[Arc<Slave>], weights: &Weights, under_way: usize) -> Vec<f64> {
    const CALLS: usize = 40_000;
    let (mut counts, mut running) = (vec![0.0; members.len()], Vec::new());
    for n in 0..CALLS {
        let (first, second) = (mix(n as u64), mix(n as u64 ^ 0x5555_0000));
        let (slave, place) = choose(members, &How { random: first, weights, sticky: None }).unwrap();
        counts[usize::try_from(slave.key).unwrap() - 1] += 1.0 / CALLS as f64;
        running.push(place);
        if running.len() > under_way {
            // Any call ends, not the oldest: calls last as long as they like.
            running.swap_remove(usize::try_from(second).unwrap() % (under_way + 1));
        }
    }
    counts
}

fn assert_near(shares: &[f64], expected: &[f64], tolerance: f64) {
    let total: f64 = expected.iter().sum();
    for (share, expected) in shares.iter().zip(expected) {
        let expected = expected / total;
        assert!((share - expected).abs() <= tolerance * expected, "{shares:?}, expected {expected}");
    }
}

#[test]
fn idle_slaves_share_by_weight() {
    // 40,000 draws: a share of a tenth has a standard deviation of 1.5 %, so 6 % is four of them.
    assert_near(&shares(&slaves(&[0; 5]), &weights(&[100; 5]), 0), &[1.0; 5], 0.06);
    assert_near(&shares(&slaves(&[0; 4]), &weights(&[100, 200, 300, 400]), 0), &[1.0, 2.0, 3.0, 4.0], 0.06);
}

#[test]
fn busy_slaves_share_by_weight_and_capacity() {
    let none = Weights::default();
    assert_near(&shares(&slaves(&[0; 5]), &none, 200), &[1.0; 5], 0.05);
    assert_near(&shares(&slaves(&[0; 3]), &weights(&[50, 100, 300]), 400), &[1.0, 2.0, 6.0], 0.1);
    assert_near(&shares(&slaves(&[10, 20, 70]), &none, 90), &[1.0, 2.0, 7.0], 0.1);
}

#[test]
fn two_choices_keep_the_burden_level() {
    let members = slaves(&[0; 20]);
    let none = Weights::default();
    let _places: Vec<_> = (0..400)
        .map(|n| choose(&members, &How { random: mix(n), weights: &none, sticky: None }).unwrap().1)
        .collect();
    let most = members.iter().map(|slave| slave.active.in_flight()).max().unwrap();
    assert!(most <= 24, "20 on average, {most} on one: one choice alone would give about 30");
}

#[test]
fn every_place_is_found_and_none_is_invented() {
    let members = slaves(&[1, 3, 2]);
    let none = Weights::default();
    let how = |n| How { random: mix(n), weights: &none, sticky: None };
    let mut places: Vec<_> = (0..6).map(|n| choose(&members, &how(n)).unwrap().1).collect();
    assert_eq!(choose(&members, &how(7)).err(), Some(NoPlace::Full));
    places.swap_remove(3);
    assert!(choose(&members, &how(8)).is_ok());
    assert_eq!(choose(&[], &how(9)).err(), Some(NoPlace::Absent));
}

#[test]
fn clients_stay_and_only_those_of_a_lost_slave_move() {
    let members = slaves(&[0; 6]);
    let even = Weights::default();
    let home = |members: &[Arc<Slave>], n| {
        choose(members, &How { random: 0, weights: &even, sticky: Some(client(n)) }).unwrap().0.key
    };
    let before: Vec<u64> = (0..600).map(|n| home(&members, n)).collect();
    let mut reversed = members.clone();
    reversed.reverse();
    let without: Vec<Arc<Slave>> = members.iter().filter(|slave| slave.key != 3).cloned().collect();
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for (n, was) in before.iter().enumerate() {
        *counts.entry(*was).or_default() += 1;
        assert_eq!(home(&reversed, n as u64), *was, "whatever the order of the members");
        if *was != 3 {
            assert_eq!(home(&without, n as u64), *was, "its slave is still there");
        }
    }
    assert!(counts.len() == 6 && counts.values().all(|count| (60..150).contains(count)), "{counts:?}");
}

#[test]
fn sticky_clients_share_by_weight_too() {
    let members = slaves(&[0; 3]);
    let weights = weights(&[100, 100, 800]);
    let mut counts = [0.0; 3];
    for n in 0..4000 {
        let how = How { random: 0, weights: &weights, sticky: Some(client(n)) };
        counts[usize::try_from(choose(&members, &how).unwrap().0.key).unwrap() - 1] += 1.0 / 4000.0;
    }
    assert_near(&counts, &[1.0, 1.0, 8.0], 0.15);
}

#[test]
fn a_sticky_call_goes_elsewhere_only_while_its_slave_cannot_take_it() {
    let members = slaves(&[1, 1]);
    let even = Weights::default();
    let how = || How { random: 0, weights: &even, sticky: Some(client(1)) };
    let (home, place) = choose(&members, &how()).unwrap();
    let (other, _place) = choose(&members, &how()).unwrap();
    assert_ne!(home.key, other.key);
    drop(place);
    assert_eq!(choose(&members, &how()).unwrap().0.key, home.key);
}
