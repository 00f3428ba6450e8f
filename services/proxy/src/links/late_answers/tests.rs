//! Late answers of plain slaves, as a property over links, identities and times: each call ends once, and by nobody of another identity.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use protocol::link::call::ResponseEvent;
use protocol::link::ids::{CallId, InstanceId};
use protocol::link::limits::LinkLimits;
use protocol::link::session_fact::SessionFact;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use runtime::secret::{SecretSet, SessionKey};
use serde_json::{Value, json};

use super::super::call::CallRequest;
use super::super::catalog::CatalogAccounts;
use super::super::events::on_plain_message;
use super::super::response::{Recv, ResponseRx};
use super::*;
use crate::access::{Announced, CodeStore, CodesFile, Grant};
use crate::config::{EjectionPolicy, SlaveMode};
use crate::fleet::Fleet;

const GRACE: Duration = Duration::from_secs(30);

/// `one` and `two` have no name, `x` and `x2` are one identity, `y` is another.
const CODES: [&str; 5] = ["one", "two", "x", "x2", "y"];

fn grant(code: &str) -> Grant {
    let file =
        CodesFile::parse("- {code: x, name: x}\n- {code: x2, name: x}\n- {code: y, name: y}\n").unwrap();
    CodeStore::new(SecretSet::new(["one", "two"]), Some(&file))
        .authorize(code, None, Announced::default())
        .unwrap()
}

struct Link {
    slave: Arc<Slave>,
    generation: u64,
    code: &'static str,
    up: bool,
}

struct Call {
    rx: Arc<ResponseRx>,
    link: usize,
    /// Id on the wire; `None`: its request was not sent.
    wire: Option<Value>,
    open: bool,
}

struct World {
    registry: Arc<Registry>,
    links: Vec<Link>,
    calls: Vec<Call>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let ejection = EjectionPolicy { after: 5, base: Duration::from_secs(10) };
        let fleet = Fleet::new(InstanceId(1), &[SessionKey::derive("a")]).unwrap();
        let limits = LinkLimits { grace: GRACE, ..LinkLimits::default() };
        let catalogs = CatalogAccounts::new(1 << 20, 1000);
        let registry = Registry::new(fleet, SlaveMode::Multi, 1000, limits, ejection, catalogs);
        Self { registry, links: Vec::new(), calls: Vec::new(), now: Instant::now() }
    }

    fn up(&mut self, code: &'static str) -> usize {
        let registered = self.registry.register(None, grant(code)).unwrap();
        let slave = registered.slave;
        let generation = slave.link_up(0, self.now);
        while slave.next_text(generation).is_some() {}
        self.links.push(Link { slave, generation, code, up: true });
        self.links.len() - 1
    }

    fn down(&mut self, link: usize) {
        let link = &mut self.links[link];
        if std::mem::take(&mut link.up) {
            assert!(link.slave.link_down(link.generation, self.now));
        }
    }

    fn open(&mut self, link: usize, sent: bool) {
        let (number, rx) = (self.calls.len(), Arc::new(ResponseRx::default()));
        let header = json!({ "method": "tools/call", "era": "legacy", "version": "2025-06-18", "cancelId": number.to_string() });
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "n": number } });
        let at = &self.links[link];
        let request = CallRequest {
            id: CallId::new(InstanceId(1), number as u64 + 1),
            header: &header.to_string().into(),
            message: &message.to_string().into(),
            name: None,
            era: Era::Legacy,
            silence: Duration::from_hours(1),
            place: None,
            last: self.now + Duration::from_hours(1),
        };
        let permit = at.slave.active.try_acquire().unwrap();
        let opened = at.slave.open(&request, permit, &rx, self.now);
        assert_eq!(opened.is_ok(), at.up);
        let wire = if sent { at.slave.next_text(at.generation) } else { None };
        let wire = wire.map(|text| serde_json::from_str::<Value>(&text).unwrap()["id"].clone());
        self.calls.push(Call { rx, link, wire, open: opened.is_ok() });
    }

    /// Sends a response to the call on a link, and returns what the call's reader got.
    fn answer(&mut self, call: usize, link: usize) -> Option<Recv> {
        let (to, by) = (&self.calls[call], &self.links[link]);
        let wire = to.wire.as_ref()?;
        let text = Bytes::from(json!({ "jsonrpc": "2.0", "id": wire, "result": { "n": call } }).to_string());
        let event = match &mut *by.slave.link() {
            LinkState::Plain(end) => end.receive(&text).unwrap(),
            LinkState::Native(_) => unreachable!(),
        };
        on_plain_message(event, &text, &by.slave, &self.registry);
        self.take(call)
    }

    fn take(&self, call: usize) -> Option<Recv> {
        match self.calls[call].rx.poll_recv(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(received) => Some(received),
            Poll::Pending => None,
        }
    }

    /// Lets time pass, in steps in which the tasks of lost links look at their calls.
    fn elapse(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            for link in self.links.iter().filter(|link| !link.up) {
                if self.registry.is_back_on_another_link(&link.slave) {
                    link.slave.extend_plain_grace(self.now);
                }
                if link.slave.poll_timers(self.now).next.is_none() {
                    self.registry.forget(&link.slave);
                }
            }
        }
    }

    fn identity(&self, link: usize) -> crate::access::Identity {
        grant(self.links[link].code).identity().clone()
    }
}

fn result(received: Option<Recv>) -> Option<Value> {
    let Some(Recv::ResponseEvent(ResponseEvent::End { payload, error: false, .. })) = received else {
        return None;
    };
    serde_json::from_slice(&payload).unwrap()
}

fn is_lost(received: Option<&Recv>) -> bool {
    matches!(received, Some(Recv::ResponseEvent(ResponseEvent::Failed(Failure::OutcomeUnknown))))
}

#[test]
fn a_late_answer_is_taken_from_another_link_of_the_same_identity_only() {
    for code in CODES {
        for other in CODES {
            let mut world = World::new();
            let first = world.up(code);
            world.open(first, true);
            world.down(first);
            assert!(world.take(0).is_none(), "it waits");
            let second = world.up(other);
            let same = grant(code).identity() == grant(other).identity();
            let answered = world.answer(0, second);
            assert_eq!(result(answered), same.then(|| json!({ "n": 0 })), "{code} by {other}");
            assert!(world.answer(0, second).is_none(), "once");
            assert_eq!(world.links[first].slave.calls(), usize::from(!same));
            world.elapse(GRACE.as_secs());
            assert_eq!(is_lost(world.take(0).as_ref()), !same, "{code} by {other}");
            assert!(!world.registry.all().iter().any(|slave| slave.key == world.links[first].slave.key));
        }
    }
}

#[test]
fn a_call_waits_for_the_grace_and_longer_while_its_slave_is_back() {
    let mut world = World::new();
    let first = world.up("x");
    world.open(first, true);
    world.down(first);
    world.elapse(GRACE.as_secs() - 1);
    let (_stranger, back) = (world.up("y"), world.up("x2"));
    world.elapse(10 * GRACE.as_secs());
    assert!(world.take(0).is_none(), "its slave is back");
    world.down(back);
    world.elapse(GRACE.as_secs() - 2);
    assert!(world.take(0).is_none());
    world.elapse(2);
    assert!(is_lost(world.take(0).as_ref()), "nobody came in time");
    let late = world.up("x");
    assert!(world.answer(0, late).is_none());
}

#[test]
fn a_slave_that_was_there_before_is_not_the_lost_one() {
    let mut world = World::new();
    let (first, other) = (world.up("one"), world.up("one"));
    world.open(first, true);
    world.elapse(1);
    world.links[first].slave.on_plain_heard(world.now);
    world.down(first);
    world.elapse(GRACE.as_secs());
    assert!(is_lost(world.take(0).as_ref()) && world.links[other].up);
}

#[test]
fn a_slave_that_is_there_before_it_would_have_dialled_again_is_another_process() {
    for (gap, waits) in [(0, true), (1, false), (4, false), (5, true), (20, true)] {
        let mut world = World::new();
        let first = world.up("one");
        world.open(first, true);
        world.down(first);
        world.elapse(gap);
        let back = world.up("one");
        world.elapse(2 * GRACE.as_secs());
        assert_eq!(is_lost(world.take(0).as_ref()), !waits, "{gap} s");
        assert_eq!(result(world.answer(0, back)).is_some(), waits);
    }
}

#[test]
fn a_slave_may_be_back_before_its_old_link_is_known_to_be_down() {
    let mut world = World::new();
    let first = world.up("one");
    world.open(first, true);
    world.open(first, true);
    let back = world.up("one");
    assert_eq!(result(world.answer(0, back)), Some(json!({ "n": 0 })), "the old link seems to be up");
    world.down(first);
    world.elapse(2 * GRACE.as_secs());
    assert_eq!(result(world.answer(1, back)), Some(json!({ "n": 1 })));
}

#[test]
fn a_call_that_was_not_sent_may_go_elsewhere_and_a_timeout_comes_in_time() {
    let mut world = World::new();
    let first = world.up("one");
    world.open(first, false);
    world.open(first, true);
    world.open(first, false);
    world.down(first);
    // `next_text` of the second call gave out the first one's request.
    assert!(matches!(world.take(1), Some(Recv::Unsent)) && matches!(world.take(2), Some(Recv::Unsent)));
    let _back = world.up("one");
    world.elapse(3600);
    assert!(matches!(world.take(0), Some(Recv::ResponseEvent(ResponseEvent::Failed(Failure::Timeout)))));
}

#[test]
fn a_lost_slave_that_comes_back_has_the_name_that_it_had() {
    let mut world = World::new();
    let (first, second) = (world.up("one"), world.up("two"));
    world.open(first, true);
    world.open(second, true);
    world.down(first);
    world.down(second);
    let names = |world: &World, links: [usize; 2]| links.map(|link| world.links[link].slave.name.clone());
    let before = names(&world, [first, second]);
    let (again_two, again_one) = (world.up("two"), world.up("one"));
    assert_eq!(names(&world, [again_one, again_two]), before);
    let more = world.up("one");
    assert_eq!(world.links[more].slave.name, "plain3");
}

#[derive(Clone, Debug)]
enum Step {
    Up(&'static str),
    Down(prop::sample::Index),
    Open(prop::sample::Index, bool),
    Answer(prop::sample::Index, prop::sample::Index),
    Forget(prop::sample::Index),
    Cancel(prop::sample::Index),
    Elapse(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        2 => prop::sample::select(CODES.to_vec()).prop_map(Step::Up),
        2 => index().prop_map(Step::Down),
        4 => (index(), any::<bool>()).prop_map(|(link, sent)| Step::Open(link, sent)),
        6 => (index(), index()).prop_map(|(call, link)| Step::Answer(call, link)),
        1 => index().prop_map(Step::Forget),
        1 => index().prop_map(Step::Cancel),
        1 => (1u64..40).prop_map(Step::Elapse),
    ]
}

impl World {
    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Up(code) => {
                self.up(code);
            }
            Step::Down(link) => self.down(link.index(self.links.len())),
            Step::Open(link, sent) => self.open(link.index(self.links.len()), *sent),
            Step::Elapse(seconds) => self.elapse(*seconds),
            Step::Answer(..) | Step::Forget(_) | Step::Cancel(_) if self.calls.is_empty() => {}
            Step::Answer(call, link) => {
                let (call, link) = (call.index(self.calls.len()), link.index(self.links.len()));
                // An earlier step may have ended it.
                let ended = self.take(call).is_some();
                self.calls[call].open &= !ended;
                let received = self.links[link].up.then(|| self.answer(call, link)).flatten();
                let same = self.identity(self.calls[call].link) == self.identity(link);
                let answered = result(received);
                if let Some(answered) = &answered {
                    prop_assert!(same && self.calls[call].open, "by another identity, or twice");
                    prop_assert_eq!(&answered["n"], &json!(call), "another call's answer");
                    self.calls[call].open = false;
                }
            }
            Step::Forget(call) => {
                let call = call.index(self.calls.len());
                let at = &self.links[self.calls[call].link];
                at.slave.abandon(CallId::new(InstanceId(1), call as u64 + 1), true, self.now);
                self.calls[call].open &= self.take(call).is_none();
                self.calls[call].open = false;
            }
            Step::Cancel(call) => {
                let call = call.index(self.calls.len());
                self.registry.broadcast(
                    &SessionFact::Cancelled { digests: vec![call.to_string()], reason: None }.encode(),
                );
                self.calls[call].open &= self.take(call).is_none();
                prop_assert!(!self.calls[call].open, "a cancelled call has ended");
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_call_ends_once_and_by_nobody_of_another_identity(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        world.up("one");
        for step in &steps {
            world.run(step)?;
        }
        for link in 0..world.links.len() {
            world.down(link);
        }
        world.elapse(GRACE.as_secs() + 1);
        for call in 0..world.calls.len() {
            let last = world.take(call);
            prop_assert_eq!(last.is_some(), world.calls[call].open, "each call ends once: {:?}", last);
            prop_assert!(world.take(call).is_none());
        }
        prop_assert!(world.links.iter().all(|link| link.slave.calls() == 0 && link.slave.active.in_flight() == 0));
        prop_assert!(world.registry.all().is_empty(), "nothing is kept");
    }
}
