//! Tests of the plan with simulated names, proxies and time.

use super::*;

fn middle() -> u64 {
    u64::MAX / 2
}

struct World {
    plan: Plan,
    now: Instant,
    peers: PeerDiscovery,
}

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 8001))
}

fn target(last: u8) -> Target {
    Target { url: 0, address: at(last) }
}

fn addresses(last: &[u8]) -> BTreeSet<SocketAddr> {
    last.iter().map(|last| at(*last)).collect()
}

fn lost() -> DisconnectReason {
    DisconnectReason::Lost(String::new())
}

fn lost_link() -> EndedLink {
    EndedLink { reason: lost(), duration: Duration::from_mins(1), in_use: false }
}

impl World {
    /// Creates a plan with one name that was resolved to these addresses.
    fn new(last: &[u8]) -> Self {
        let now = Instant::now();
        let timing = Timing {
            reconnect_max: Duration::from_secs(5),
            resolve: Duration::from_secs(10),
            random: middle,
        };
        let mut plan = Plan::new(1, timing, now);
        assert_eq!(plan.poll(now, PeerDiscovery::default()), Some(Step::Resolve(0)));
        plan.resolved(0, &addresses(last), now);
        Self { plan, now, peers: PeerDiscovery::default() }
    }

    /// Returns all steps that are due now.
    fn due(&mut self) -> Vec<Step> {
        let steps: Vec<Step> = std::iter::from_fn(|| self.plan.poll(self.now, self.peers)).collect();
        assert!(steps.len() < 1000, "the plan never runs out of steps");
        steps
    }

    /// Advances to the next time at which a step is due.
    fn next(&mut self) -> Vec<Step> {
        loop {
            let at = self.plan.timeout().expect("something is to be done");
            self.now = self.now.max(at);
            let due = self.due();
            if !due.is_empty() {
                return due;
            }
        }
    }

    fn resolve(&mut self, last: &[u8]) {
        self.plan.resolved(0, &addresses(last), self.now);
    }

    fn link(&mut self, target: Target, goal: Goal) {
        self.plan.linked(target, goal, false, self.now);
        self.peers.searchable += 1;
    }

    /// Advances to the next dial; names resolve to these addresses.
    fn next_dial(&mut self, last: &[u8]) -> (Target, Goal) {
        for _ in 0..1000 {
            for step in self.next() {
                match step {
                    Step::Resolve(_) => self.resolve(last),
                    Step::Dial(target, goal) => return (target, goal),
                }
            }
        }
        panic!("nothing is dialed");
    }
}

#[test]
fn every_address_is_dialed_and_new_ones_as_they_come() {
    let mut world = World::new(&[1, 2]);
    let keep = |last| Step::Dial(target(last), Goal::Maintain);
    assert_eq!(world.due(), [keep(1), keep(2)]);
    world.plan.linked(target(1), Goal::Maintain, false, world.now);
    world.plan.linked(target(2), Goal::Maintain, false, world.now);
    assert_eq!(world.next(), [Step::Resolve(0)]);
    world.resolve(&[2, 3]);
    assert_eq!(world.due(), [keep(3)], "the new one");
    // An address that disappeared keeps its link, and is not dialed again when the link ends.
    world.plan.ended(target(1), &lost_link(), world.now);
    world.plan.linked(target(3), Goal::Maintain, false, world.now);
    for _ in 0..20 {
        assert_eq!(world.next(), [Step::Resolve(0)]);
        world.resolve(&[2, 3]);
    }
}

#[test]
fn a_lost_link_is_dialed_again_and_its_name_looked_up_soon() {
    let mut world = World::new(&[1]);
    world.due();
    world.link(target(1), Goal::Maintain);
    world.peers.searchable = 0;
    let wait = world.plan.ended(target(1), &lost_link(), world.now);
    assert!(wait < Duration::from_millis(500));
    let since = world.now;
    let steps = [world.next(), world.next()].concat();
    assert!(steps.contains(&Step::Resolve(0)) && steps.contains(&Step::Dial(target(1), Goal::Maintain)));
    assert!(world.now - since < Duration::from_millis(500));
}

#[test]
fn a_busy_proxy_is_dialed_sooner_by_a_slave_in_use() {
    let busy = DisconnectReason::Busy(Duration::from_secs(17));
    for (in_use, longest) in [(true, Duration::from_secs(1)), (false, Duration::from_secs(23))] {
        let mut world = World::new(&[1]);
        world.due();
        world.link(target(1), Goal::Maintain);
        world.plan.ended(target(1), &EndedLink { in_use, ..lost_link() }, world.now);
        let wait = world.plan.failed(target(1), Goal::Maintain, &busy, world.now).unwrap();
        assert!(wait <= longest && wait >= longest / 2, "{in_use}: {wait:?}");
    }
}

#[test]
fn a_name_that_cannot_be_resolved_keeps_its_addresses() {
    let mut world = World::new(&[1]);
    world.due();
    assert!(world.plan.failed(target(1), Goal::Maintain, &lost(), world.now).is_some());
    let mut dials = 0;
    for _ in 0..50 {
        for step in world.next() {
            match step {
                Step::Resolve(url) => {
                    assert!(world.plan.unresolved(url, world.now) <= Duration::from_secs(5));
                }
                Step::Dial(target, goal) => {
                    dials += 1;
                    world.plan.failed(target, goal, &lost(), world.now);
                }
            }
        }
    }
    assert!(dials > 5, "{dials}");
}

#[test]
fn a_second_address_of_a_linked_proxy_is_dialed_again_when_a_link_ends() {
    let mut world = World::new(&[1, 2]);
    world.due();
    world.link(target(1), Goal::Maintain);
    world.peers.searchable = 0;
    assert_eq!(
        world.plan.failed(target(2), Goal::Maintain, &DisconnectReason::AlreadyLinked, world.now),
        None
    );
    for _ in 0..20 {
        assert_eq!(world.next(), [Step::Resolve(0)]);
        world.resolve(&[1, 2]);
    }
    world.plan.ended(target(1), &lost_link(), world.now);
    let targets: BTreeSet<Target> = (0..2).map(|_| world.next_dial(&[1, 2]).0).collect();
    assert_eq!(targets, BTreeSet::from([target(1), target(2)]));
}

#[test]
fn the_proxy_of_a_lost_link_behind_a_load_balancer_is_searched_for_without_slowing_down() {
    let mut world = World::new(&[1]);
    assert_eq!(world.due(), [Step::Dial(target(1), Goal::Maintain)]);
    world.plan.linked(target(1), Goal::Maintain, false, world.now);
    world.plan.linked(target(1), Goal::Discover, false, world.now);
    world.plan.ended(target(1), &lost_link(), world.now);
    world.peers = PeerDiscovery { searchable: 1, missing: true, ..PeerDiscovery::default() };
    let since = world.now;
    let mut waits = Vec::new();
    while world.now < since + Duration::from_mins(1) {
        let before = world.now;
        if world.next().contains(&Step::Dial(target(1), Goal::Discover)) {
            waits.push((world.now - since, world.now - before));
            world.plan.failed(target(1), Goal::Discover, &DisconnectReason::AlreadyLinked, world.now);
        }
    }
    let within = |span: Duration| waits.iter().filter(|(at, _)| *at <= span).count();
    // The waits are half of their ranges here: half a second each, but for the first one.
    assert!(within(Duration::from_secs(12)) >= 20, "{waits:?}");
    assert!(within(Duration::from_mins(1)) < 60, "it slows down afterwards: {waits:?}");
    // A proxy that asks for a pause gets it.
    let busy = DisconnectReason::Busy(Duration::from_secs(9));
    world.plan.failed(target(1), Goal::Discover, &busy, world.now);
    assert!(world.plan.discovery.at.unwrap() >= world.now + Duration::from_secs(9));
}

#[test]
fn missing_proxies_behind_one_address_are_discovered() {
    let mut world = World::new(&[1]);
    world.due();
    world.link(target(1), Goal::Maintain);
    world.peers.missing = true;
    let since = world.now;
    for found in 0..2 {
        for _ in 0..3 {
            assert_eq!(world.next_dial(&[1]), (target(1), Goal::Discover));
            world.plan.failed(target(1), Goal::Discover, &DisconnectReason::AlreadyLinked, world.now);
        }
        let dialed = world.next_dial(&[1]);
        world.link(dialed.0, dialed.1);
        world.peers.missing = found == 0;
    }
    assert!(world.now - since < Duration::from_secs(20), "{:?}", world.now - since);
    // Then the discovery slows down, as no proxy is known to be missing.
    let since = world.now;
    for _ in 0..12 {
        let dialed = world.next_dial(&[1]);
        world.plan.failed(dialed.0, dialed.1, &DisconnectReason::AlreadyLinked, world.now);
    }
    assert!(world.now - since > Duration::from_mins(10), "{:?}", world.now - since);
    // When a missing proxy becomes known, the discovery is quick again.
    world.peers.missing = true;
    let since = world.now;
    world.due();
    world.next_dial(&[1]);
    assert!(world.now - since < Duration::from_secs(1));
}

#[test]
fn proxies_that_cannot_tell_a_second_link_get_none() {
    let mut world = World::new(&[1, 2]);
    world.due();
    world.plan.linked(target(1), Goal::Maintain, true, world.now);
    world.plan.failed(target(2), Goal::Maintain, &DisconnectReason::AlreadyLinked, world.now);
    world.peers = PeerDiscovery { missing: true, ..PeerDiscovery::default() };
    for _ in 0..20 {
        assert_eq!(world.next(), [Step::Resolve(0)]);
        world.resolve(&[1, 2, 3]);
    }
}

#[test]
fn an_address_without_a_server_is_dialed_ever_less_beside_a_good_one() {
    let mut world = World::new(&[1, 2]);
    world.due();
    world.link(target(1), Goal::Maintain);
    world.peers.searchable = 0;
    let mut waits = Vec::new();
    for _ in 0..8 {
        waits.push(world.plan.failed(target(2), Goal::Maintain, &lost(), world.now).unwrap());
        assert_eq!(world.next_dial(&[1, 2]).0, target(2));
    }
    assert!(waits.last().unwrap() > &Duration::from_secs(25), "{waits:?}");
}

#[test]
fn when_a_proxy_goes_down_names_and_targets_are_tried_at_once() {
    let mut world = World::new(&[1, 2]);
    world.due();
    world.link(target(1), Goal::Maintain);
    for _ in 0..6 {
        world.plan.failed(target(2), Goal::Maintain, &lost(), world.now);
        while world.next_dial(&[1, 2]) != (target(2), Goal::Maintain) {}
    }
    world.plan.failed(target(2), Goal::Maintain, &lost(), world.now);
    world.peers = PeerDiscovery { searchable: 1, missing: true, draining: 1, code_generation: 0 };
    world.plan.expedite(world.now);
    let steps = world.due();
    assert!(steps.contains(&Step::Resolve(0)), "{steps:?}");
    assert!(steps.contains(&Step::Dial(target(2), Goal::Maintain)), "{steps:?}");
}

#[test]
fn a_name_without_a_link_is_resolved_until_its_proxy_has_an_address() {
    // What makes it urgent: the only link ended, or its proxy goes down.
    for goes_down in [false, true] {
        let mut world = World::new(&[1]);
        world.due();
        world.link(target(1), Goal::Maintain);
        if goes_down {
            world.peers = PeerDiscovery { searchable: 0, missing: true, draining: 1, code_generation: 0 };
            world.plan.expedite(world.now);
        } else {
            world.plan.ended(target(1), &lost_link(), world.now);
        }
        let (begun, mut resolved) = (world.now, 0);
        while world.now - begun < Duration::from_secs(20) {
            for step in world.next() {
                match step {
                    // The name server still knows the old address only.
                    Step::Resolve(url) => {
                        resolved += 1;
                        world.plan.resolved(url, &addresses(&[1]), world.now);
                    }
                    Step::Dial(target, goal) => drop(world.plan.failed(target, goal, &lost(), world.now)),
                }
            }
        }
        assert!(resolved >= 6, "{resolved} times, goes down: {goes_down}");
        world.plan.resolved(0, &addresses(&[1, 2]), world.now);
        let mut steps = world.due();
        while !steps.contains(&Step::Dial(target(2), Goal::Maintain)) {
            steps = world.next();
        }
        world.link(target(2), Goal::Maintain);
        world.plan.resolved(0, &addresses(&[2]), world.now);
        world.due();
        assert!(world.plan.names[0].at - world.now > Duration::from_secs(7), "at leisure once linked");
    }
}
