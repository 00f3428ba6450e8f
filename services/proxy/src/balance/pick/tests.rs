//! Shares of calls follow the weights; sticky clients keep their slaves.

use std::collections::HashMap;

use super::*;
use crate::balance::host::TestHost;

/// Returns hosts of these capacities, named `s0`, `s1`, …
fn slaves(capacities: &[u32]) -> Vec<Arc<TestHost>> {
    (1..).zip(capacities).map(|(key, capacity)| TestHost::new(key, *capacity)).collect()
}

fn weights(of: &[u32]) -> Weights {
    Weights::new(of.iter().enumerate().map(|(n, weight)| (n as u64 + 1, *weight)))
}

/// Shares of `calls` calls; each stays under way until `under_way` others came after it.
fn shares(members: &[Arc<TestHost>], weights: &Weights, under_way: usize) -> Vec<f64> {
    const CALLS: usize = 40_000;
    let (mut counts, mut running) = (vec![0.0; members.len()], Vec::new());
    for n in 0..CALLS {
        let (first, second) = (mix(n as u64), mix(n as u64 ^ 0x5555_0000));
        let Picked { slave, permit } =
            pick(members, &PickPolicy { random: first, weights, sticky_seed: None, reach: Reach::All })
                .unwrap();
        counts[usize::try_from(slave.key).unwrap() - 1] += 1.0 / CALLS as f64;
        running.push(permit);
        if running.len() > under_way {
            // A random call ends, since calls take different times.
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
fn two_choices_keep_the_load_level() {
    let members = slaves(&[0; 20]);
    let none = Weights::default();
    let _permits: Vec<_> = (0..400)
        .map(|n| {
            pick(
                &members,
                &PickPolicy { random: mix(n), weights: &none, sticky_seed: None, reach: Reach::All },
            )
            .unwrap()
            .permit
        })
        .collect();
    let most = members.iter().map(|slave| slave.active.in_flight()).max().unwrap();
    assert!(most <= 24, "20 on average, {most} on one: one choice alone would give about 30");
}

#[test]
fn every_permit_is_found_and_none_is_granted_twice() {
    let members = slaves(&[1, 3, 2]);
    let none = Weights::default();
    let policy = |n| PickPolicy { random: mix(n), weights: &none, sticky_seed: None, reach: Reach::All };
    let mut permits: Vec<_> = (0..6).map(|n| pick(&members, &policy(n)).unwrap().permit).collect();
    assert_eq!(pick(&members, &policy(7)).err(), Some(NoCapacity::Full));
    permits.swap_remove(3);
    assert!(pick(&members, &policy(8)).is_ok());
    assert_eq!(pick::<TestHost>(&[], &policy(9)).err(), Some(NoCapacity::Absent));
}

#[test]
fn only_the_clients_of_a_lost_slave_move() {
    let members = slaves(&[0; 6]);
    let even = Weights::default();
    let own = |members: &[Arc<TestHost>], n| {
        pick(members, &PickPolicy { random: 0, weights: &even, sticky_seed: Some(mix(n)), reach: Reach::All })
            .unwrap()
            .slave
            .key
    };
    let before: Vec<u64> = (0..600).map(|n| own(&members, n)).collect();
    let mut reversed = members.clone();
    reversed.reverse();
    let without: Vec<Arc<TestHost>> = members.iter().filter(|slave| slave.key != 3).cloned().collect();
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for (n, was) in before.iter().enumerate() {
        *counts.entry(*was).or_default() += 1;
        assert_eq!(own(&reversed, n as u64), *was, "whatever the order of the members");
        if *was != 3 {
            assert_eq!(own(&without, n as u64), *was, "its slave is still there");
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
        let policy =
            PickPolicy { random: 0, weights: &weights, sticky_seed: Some(mix(n)), reach: Reach::All };
        counts[usize::try_from(pick(&members, &policy).unwrap().slave.key).unwrap() - 1] += 1.0 / 4000.0;
    }
    assert_near(&counts, &[1.0, 1.0, 8.0], 0.15);
}

#[test]
fn a_sticky_call_goes_elsewhere_only_while_its_slave_cannot_take_it() {
    let members = slaves(&[1, 1]);
    let even = Weights::default();
    let policy = || PickPolicy { random: 0, weights: &even, sticky_seed: Some(mix(1)), reach: Reach::All };
    let own = pick(&members, &policy()).unwrap();
    let other = pick(&members, &policy()).unwrap();
    assert_ne!(own.slave.key, other.slave.key);
    let key = own.slave.key;
    drop(own.permit);
    assert_eq!(pick(&members, &policy()).unwrap().slave.key, key);
}

/// Marks hosts by their keys as overdue.
fn set_overdue(members: &[Arc<TestHost>], overdue: &[u64]) {
    for member in members {
        member.overdue.store(overdue.contains(&member.key), std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn slaves_that_owe_an_answer_get_calls_only_if_no_other_can_take_them() {
    fn policies(n: u64, weights: &Weights) -> [PickPolicy<'_>; 2] {
        let sticky = [None, Some(mix(n))];
        sticky.map(|sticky_seed| PickPolicy { random: mix(n), weights, sticky_seed, reach: Reach::All })
    }
    for weights in [Weights::default(), weights(&[10_000, 100, 100])] {
        let members = slaves(&[0, 2, 2]);
        set_overdue(&members, &[1]);
        let mut running = Vec::new();
        for n in 0..4 {
            let [policy, _] = policies(n, &weights);
            let Picked { slave, permit } = pick(&members, &policy).unwrap();
            assert_ne!(slave.key, 1, "the others have room");
            running.push(permit);
        }
        for policy in policies(9, &weights) {
            assert_eq!(pick(&members, &policy).unwrap().slave.key, 1, "better than none");
            let answering = PickPolicy { reach: Reach::Answering, ..policy };
            assert_eq!(pick(&members, &answering).map(|_| ()).unwrap_err(), NoCapacity::Full);
        }
        set_overdue(&members, &[1, 2, 3]);
        let [policy, _] = policies(9, &weights);
        let answering = PickPolicy { reach: Reach::Answering, ..policy };
        assert_eq!(pick(&members, &answering).map(|_| ()).unwrap_err(), NoCapacity::Absent);
    }
}

#[test]
fn of_two_slaves_the_less_loaded_one_is_always_picked() {
    for weights in [Weights::default(), weights(&[100, 101])] {
        let members = slaves(&[0, 0]);
        let _busy = members[0].active.try_acquire().unwrap();
        for n in 0..200 {
            let policy =
                PickPolicy { random: mix(n), weights: &weights, sticky_seed: None, reach: Reach::All };
            assert_eq!(pick(&members, &policy).unwrap().slave.key, 2);
        }
    }
}
