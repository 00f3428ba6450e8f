//! The plan against names and proxies that the tests make up, in time that they make up.

use super::*;

fn middle() -> u64 {
    u64::MAX / 2
}

struct World {
    plan: Plan,
    now: Instant,
    outlook: PeerDiscovery,
}

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 8001))
}

fn line(last: u8) -> Line {
    Line { url: 0, address: at(last) }
}

fn addresses(last: &[u8]) -> BTreeSet<SocketAddr> {
    last.iter().map(|last| at(*last)).collect()
}

fn lost() -> Ended {
    Ended::Lost(String::new())
}

impl World {
    /// One name that was resolved to these addresses.
    fn new(last: &[u8]) -> Self {
        let now = Instant::now();
        let pace =
            Pace { reconnect_max: Duration::from_secs(5), resolve: Duration::from_secs(10), random: middle };
        let mut plan = Plan::new(1, pace, now);
        assert_eq!(plan.poll(now, PeerDiscovery::default()), Some(Step::Resolve(0)));
        plan.resolved(0, &addresses(last), now);
        Self { plan, now, outlook: PeerDiscovery::default() }
    }

    /// Everything that is due now.
    fn due(&mut self) -> Vec<Step> {
        let steps: Vec<Step> = std::iter::from_fn(|| self.plan.poll(self.now, self.outlook)).collect();
        assert!(steps.len() < 1000, "it never ends");
        steps
    }

    /// What is due at the next time that something is.
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

    fn link(&mut self, line: Line, purpose: Purpose) {
        self.plan.linked((line, purpose), false, self.now);
        self.outlook.searchable += 1;
    }

    /// Goes on to the next dial, name look-ups answered with these.
    fn next_dial(&mut self, last: &[u8]) -> (Line, Purpose) {
        for _ in 0..1000 {
            for step in self.next() {
                match step {
                    Step::Resolve(_) => self.resolve(last),
                    Step::Dial(line, purpose) => return (line, purpose),
                }
            }
        }
        panic!("nothing is dialed");
    }
}

#[test]
fn every_address_is_dialed_and_new_ones_as_they_come() {
    let mut world = World::new(&[1, 2]);
    let keep = |last| Step::Dial(line(last), Purpose::Keep);
    assert_eq!(world.due(), [keep(1), keep(2)]);
    world.plan.linked((line(1), Purpose::Keep), false, world.now);
    world.plan.linked((line(2), Purpose::Keep), false, world.now);
    assert_eq!(world.next(), [Step::Resolve(0)]);
    world.resolve(&[2, 3]);
    assert_eq!(world.due(), [keep(3)], "the new one");
    // The vanished one keeps its link, and is not dialed again when that ends.
    world.plan.ended(line(1), (&lost(), Duration::from_mins(1)), world.now);
    world.plan.linked((line(3), Purpose::Keep), false, world.now);
    for _ in 0..20 {
        assert_eq!(world.next(), [Step::Resolve(0)]);
        world.resolve(&[2, 3]);
    }
}

#[test]
fn a_lost_link_is_dialed_again_and_its_name_looked_up_soon() {
    let mut world = World::new(&[1]);
    world.due();
    world.link(line(1), Purpose::Keep);
    world.outlook.searchable = 0;
    let wait = world.plan.ended(line(1), (&lost(), Duration::from_mins(1)), world.now);
    assert!(wait < Duration::from_millis(500));
    let since = world.now;
    let steps = [world.next(), world.next()].concat();
    assert!(steps.contains(&Step::Resolve(0)) && steps.contains(&Step::Dial(line(1), Purpose::Keep)));
    assert!(world.now - since < Duration::from_millis(500));
}

#[test]
fn a_name_that_cannot_be_resolved_keeps_its_addresses() {
    let mut world = World::new(&[1]);
    world.due();
    assert!(world.plan.failed((line(1), Purpose::Keep), &lost(), world.now).is_some());
    let mut dials = 0;
    for _ in 0..50 {
        for step in world.next() {
            match step {
                Step::Resolve(url) => {
                    assert!(world.plan.unresolved(url, world.now) <= Duration::from_secs(5));
                }
                Step::Dial(line, purpose) => {
                    dials += 1;
                    world.plan.failed((line, purpose), &lost(), world.now);
                }
            }
        }
    }
    assert!(dials > 5, "{dials}");
}

#[test]
fn an_address_of_a_linked_proxy_rests_until_a_link_ends() {
    let mut world = World::new(&[1, 2]);
    world.due();
    world.link(line(1), Purpose::Keep);
    world.outlook.searchable = 0;
    assert_eq!(world.plan.failed((line(2), Purpose::Keep), &Ended::AlreadyLinked, world.now), None);
    for _ in 0..20 {
        assert_eq!(world.next(), [Step::Resolve(0)]);
        world.resolve(&[1, 2]);
    }
    world.plan.ended(line(1), (&lost(), Duration::from_mins(1)), world.now);
    let lines: BTreeSet<Line> = (0..2).map(|_| world.next_dial(&[1, 2]).0).collect();
    assert_eq!(lines, BTreeSet::from([line(1), line(2)]));
}

#[test]
fn behind_one_address_all_that_are_known_to_be_missing_are_searched_for() {
    let mut world = World::new(&[1]);
    world.due();
    world.link(line(1), Purpose::Keep);
    world.outlook.missing = true;
    let since = world.now;
    for found in 0..2 {
        for _ in 0..3 {
            assert_eq!(world.next_dial(&[1]), (line(1), Purpose::Search));
            world.plan.failed((line(1), Purpose::Search), &Ended::AlreadyLinked, world.now);
        }
        let dialed = world.next_dial(&[1]);
        world.link(dialed.0, dialed.1);
        world.outlook.missing = found == 0;
    }
    assert!(world.now - since < Duration::from_secs(20), "{:?}", world.now - since);
    // Then only now and then, for those that nobody has found.
    let since = world.now;
    for _ in 0..12 {
        let dialed = world.next_dial(&[1]);
        world.plan.failed(dialed, &Ended::AlreadyLinked, world.now);
    }
    assert!(world.now - since > Duration::from_mins(10), "{:?}", world.now - since);
    // Somebody has found one: at once again.
    world.outlook.missing = true;
    let since = world.now;
    world.due();
    world.next_dial(&[1]);
    assert!(world.now - since < Duration::from_secs(1));
}

#[test]
fn proxies_that_cannot_tell_a_second_link_get_none() {
    let mut world = World::new(&[1, 2]);
    world.due();
    world.plan.linked((line(1), Purpose::Keep), true, world.now);
    world.plan.failed((line(2), Purpose::Keep), &Ended::AlreadyLinked, world.now);
    world.outlook = PeerDiscovery { missing: true, ..PeerDiscovery::default() };
    for _ in 0..20 {
        assert_eq!(world.next(), [Step::Resolve(0)]);
        world.resolve(&[1, 2, 3]);
    }
}

#[test]
fn an_address_that_is_nobody_s_is_dialed_ever_less_beside_a_good_one() {
    let mut world = World::new(&[1, 2]);
    world.due();
    world.link(line(1), Purpose::Keep);
    world.outlook.searchable = 0;
    let mut waits = Vec::new();
    for _ in 0..8 {
        waits.push(world.plan.failed((line(2), Purpose::Keep), &lost(), world.now).unwrap());
        assert_eq!(world.next_dial(&[1, 2]).0, line(2));
    }
    assert!(waits.last().unwrap() > &Duration::from_secs(25), "{waits:?}");
}

#[test]
fn when_a_proxy_goes_down_names_and_lines_are_tried_at_once() {
    let mut world = World::new(&[1, 2]);
    world.due();
    world.link(line(1), Purpose::Keep);
    for _ in 0..6 {
        world.plan.failed((line(2), Purpose::Keep), &lost(), world.now);
        while world.next_dial(&[1, 2]) != (line(2), Purpose::Keep) {}
    }
    world.plan.failed((line(2), Purpose::Keep), &lost(), world.now);
    world.outlook = PeerDiscovery { searchable: 1, missing: true, draining: 1, code_generation: 0 };
    world.plan.hurry(world.now);
    let steps = world.due();
    assert!(steps.contains(&Step::Resolve(0)), "{steps:?}");
    assert!(steps.contains(&Step::Dial(line(2), Purpose::Keep)), "{steps:?}");
}
