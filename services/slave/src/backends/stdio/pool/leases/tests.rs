//! Properties of the table of children: never more than the most, one child for a key, and none that ends under a call.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::*;
use crate::backends::stdio::sharing::ChildOwner;

const IDLE: Duration = Duration::from_secs(10);

fn rules(most: usize) -> ChildRules {
    ChildRules { owner: ChildOwner::Session, most: NonZeroUsize::new(most).unwrap(), idle: IDLE }
}

fn key(session: u8) -> ChildKey {
    ChildKey::Session { session: session.to_string().into(), client: None }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Call(u8),
    CallOfNobody(u64),
    /// The call of this index, of those that run, ends.
    EndCall(usize),
    EndSession(u8),
    /// The child of this key exits by itself.
    Exit(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6u8).prop_map(Step::Call),
        1 => (0..1000u64).prop_map(Step::CallOfNobody),
        4 => (0..20usize).prop_map(Step::EndCall),
        1 => (0..6u8).prop_map(Step::EndSession),
        1 => (0..6u8).prop_map(Step::Exit),
        2 => (0..15u64).prop_map(Step::Wait),
    ]
}

/// What the table should know, kept in the simplest way.
struct Model {
    leases: Leases<u64>,
    now: Instant,
    /// The children that take calls, by key.
    running: HashMap<ChildKey, u64>,
    /// Calls, each with its key and its child.
    calls: Vec<(ChildKey, u64)>,
    most: usize,
}

impl Model {
    fn uses(&self, child: u64) -> usize {
        self.calls.iter().filter(|(_, used)| *used == child).count()
    }

    fn call(&mut self, key: ChildKey) {
        match self.leases.take(&key, self.now, |number| number) {
            Taken::Running(child) => {
                assert_eq!(self.running.get(&key), Some(&child), "one child for a key");
                self.calls.push((key, child));
            }
            Taken::New { child, gives_way } => {
                assert!(!self.running.contains_key(&key), "one child for a key");
                assert_eq!(gives_way.is_some(), self.running.len() == self.most, "only a full pool ends one");
                if let Some(gone) = gives_way {
                    assert_eq!(self.uses(gone), 0, "a child with calls gives no way");
                    self.running.retain(|_, child| *child != gone);
                }
                self.running.insert(key.clone(), child);
                self.calls.push((key, child));
            }
            Taken::Full => {
                assert_eq!(self.running.len(), self.most);
                assert!(self.running.values().all(|child| self.uses(*child) > 0), "an idle one gives way");
            }
        }
        assert!(self.running.len() <= self.most, "never more than the most");
    }

    fn end_call(&mut self, index: usize) {
        if index >= self.calls.len() {
            return;
        }
        let (key, child) = self.calls.swap_remove(index);
        let ended = self.leases.give_back(&key, child, self.now);
        assert_eq!(ended.is_some(), key.is_of_call(), "only a child for one call ends with it");
        if ended.is_some() {
            self.running.remove(&key);
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        for (key, child) in self.running.clone() {
            if self.leases.expire(&key, child, self.now) == Idle::Over {
                assert_eq!(self.uses(child), 0, "a child with calls is not idle");
                self.running.remove(&key);
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Call(session) => self.call(key(session)),
            Step::CallOfNobody(number) => {
                if !self.running.contains_key(&ChildKey::Call(number)) {
                    self.call(ChildKey::Call(number));
                }
            }
            Step::EndCall(index) => self.end_call(index),
            Step::EndSession(session) => {
                let ended = self.leases.end_session(&session.to_string());
                let known = self.running.remove(&key(session));
                assert_eq!(ended, known.into_iter().collect::<Vec<_>>(), "no child outlives its session");
            }
            Step::Exit(session) => {
                let Some(child) = self.running.remove(&key(session)) else { return };
                assert_eq!(self.leases.remove(&key(session), child), Some(child));
                assert_eq!(self.leases.remove(&key(session), child), None);
            }
            Step::Wait(seconds) => self.wait(seconds),
        }
        assert_eq!(self.leases.children.len(), self.running.len());
    }
}

proptest! {
    #[test]
    fn there_is_one_child_for_a_key_and_never_more_than_the_most(
        most in 1..5usize,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let (leases, now) = (Leases::new(rules(most)), Instant::now());
        let mut model = Model { leases, now, running: HashMap::new(), calls: Vec::new(), most };
        for step in steps {
            model.step(step);
        }
    }
}

#[test]
fn the_child_that_was_idle_for_the_longest_time_gives_way() {
    let (mut leases, start) = (Leases::new(rules(2)), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    for (session, seconds) in [(1, 0), (2, 1)] {
        assert!(matches!(leases.take(&key(session), at(seconds), |n| n), Taken::New { gives_way: None, .. }));
    }
    assert!(matches!(leases.take(&key(3), at(2), |n| n), Taken::Full), "both have calls");
    leases.give_back(&key(2), 2, at(3));
    leases.give_back(&key(1), 1, at(4));
    let Taken::New { child: 3, gives_way: Some(2) } = leases.take(&key(3), at(5), |n| n) else {
        panic!("the second was idle for longer")
    };
    assert!(matches!(leases.take(&key(1), at(6), |n| n), Taken::Running(1)));
    // A call of the child that gave way ends late, and means nothing for the new one of its key.
    leases.give_back(&key(3), 3, at(7));
    assert!(matches!(leases.take(&key(2), at(8), |n| n), Taken::New { child: 4, gives_way: Some(3) }));
    leases.give_back(&key(2), 2, at(9));
    assert!(matches!(leases.take(&key(3), at(9), |n| n), Taken::Full));
}

#[test]
fn a_child_ends_when_no_call_used_it_for_the_idle_time() {
    let (mut leases, start) = (Leases::new(rules(2)), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    leases.take(&key(1), at(0), |n| n);
    assert_eq!(leases.expire(&key(1), 1, at(60)), Idle::NotBefore(at(70)), "a call runs");
    leases.give_back(&key(1), 1, at(65));
    assert_eq!(leases.expire(&key(1), 1, at(70)), Idle::NotBefore(at(75)));
    leases.touch(&key(1), 1, at(70));
    assert_eq!(leases.expire(&key(1), 1, at(75)), Idle::NotBefore(at(80)));
    assert_eq!(leases.expire(&key(1), 1, at(80)), Idle::Over);
    assert!(leases.children.is_empty());
    assert_eq!(leases.expire(&key(1), 1, at(80)), Idle::Gone);
}
