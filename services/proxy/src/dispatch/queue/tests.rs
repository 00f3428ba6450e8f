//! No call is lost, passed over or left waiting for ever. The slaves are real, their links are not.

use std::time::Duration;

use protocol::link::handshake::SlaveHello;
use protocol::link::limits::LinkLimits;
use protocol::mcp::catalog::Catalog;

use super::*;
use crate::balance::outliers::{Outcome, OutlierDetector};
use crate::config::EjectionPolicy;
use crate::config::Rate;
use crate::limits::client::Client;
use crate::limits::rate_limiter::RateLimiter;

const UNBOUNDED: usize = usize::MAX;

/// Some slaves, without those that a detector has ejected.
#[derive(Clone)]
struct TestCandidates {
    slaves: Arc<[Arc<Slave>]>,
    outliers: Option<Arc<OutlierDetector>>,
}

impl Candidates for TestCandidates {
    fn slaves(&self) -> impl Iterator<Item = &Arc<Slave>> {
        self.slaves.iter()
    }

    fn is_eligible(&self, slave: &Slave, now: Instant) -> bool {
        self.outliers.as_ref().is_none_or(|outliers| !outliers.is_ejected(slave.host_slot(), now))
    }

    fn ejected_until(&self, slave: &Slave, now: Instant) -> Option<Instant> {
        self.outliers.as_ref()?.ejected_until(slave.host_slot(), now)
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.slaves, &other.slaves)
    }

    fn max_waiting(&self) -> usize {
        UNBOUNDED
    }
}

type TestQueue = WaitQueue<TestCandidates>;
type TestWaiter = Waiter<TestCandidates>;

fn slave(key: u64, capacity: u32) -> Arc<Slave> {
    let hello = SlaveHello { slave_name: format!("s{key}"), capacity, ..SlaveHello::default() };
    let catalog = Catalog::decode(br#"{"tools":[{"name":"t"}]}"#).unwrap();
    Slave::for_test(&hello, key, LinkLimits::default(), catalog)
}

fn candidates(slaves: &[Arc<Slave>]) -> TestCandidates {
    TestCandidates { slaves: slaves.into(), outliers: None }
}

fn queue(slaves: &[Arc<Slave>]) -> Arc<TestQueue> {
    let queue = WaitQueue::new();
    subscribe(&queue, slaves);
    queue
}

fn subscribe(queue: &Arc<TestQueue>, slaves: &[Arc<Slave>]) {
    let listener: Arc<dyn CapacityListener> = Arc::clone(queue) as _;
    for slave in slaves {
        slave.active.subscribe(&listener);
    }
}

fn pending(client: u64) -> Pending {
    let key = QueueKey { tool: "t".into(), provider: "p".into(), rule: 0, clearance: None };
    Pending { key, client: Client::Session(client), name: None }
}

fn enqueue(queue: &Arc<TestQueue>, client: u64, slaves: &[Arc<Slave>]) -> TestWaiter {
    let waiter = queue.enqueue(pending(client), UNBOUNDED, || Some(candidates(slaves)));
    waiter.ok().unwrap()
}

/// Returns the permit that a waiter was given.
fn permit(waiter: &mut TestWaiter) -> Option<Permit> {
    match waiter.decision.try_recv() {
        Ok(Decision::Serve(_, permit)) => Some(permit),
        _ => None,
    }
}

fn acquire(slave: &Arc<Slave>) -> Permit {
    slave.try_acquire().unwrap().unwrap()
}

#[tokio::test]
async fn a_freed_permit_goes_to_one_call_and_to_each_client_in_turn() {
    let slaves = [slave(1, 1)];
    let queue = queue(&slaves);
    let running = acquire(&slaves[0]);
    let mut many: Vec<_> = (0..10).map(|_| enqueue(&queue, 1, &slaves)).collect();
    let mut other = enqueue(&queue, 2, &slaves);
    drop(running);
    let first = permit(&mut many[0]).expect("the first call's permit");
    assert!(many[1..].iter_mut().all(|waiter| permit(waiter).is_none()) && permit(&mut other).is_none());
    assert!(slaves[0].try_acquire().unwrap().is_err(), "no new call takes the permit");
    drop(first);
    assert!(permit(&mut many[1]).is_none());
    drop(permit(&mut other).expect("the other client's turn"));
    let _second = permit(&mut many[1]).expect("the first client's turn again");
    assert_eq!(queue.len(), 8);
}

#[tokio::test]
async fn a_full_queue_refuses_calls_and_says_when_to_retry() {
    let slaves = [slave(1, 1)];
    let queue = queue(&slaves);
    let _running = acquire(&slaves[0]);
    let waiters: Vec<_> = (0..3).map(|_| enqueue(&queue, 1, &slaves)).collect();
    let try_enqueue = |max| queue.enqueue(pending(2), max, || Some(candidates(&slaves)));
    assert_eq!(try_enqueue(3).err(), Some(EnqueueError::Full { waiting: 3, retry_after: 60 }));
    drop(waiters);
    assert_eq!(queue.len(), 0);
    assert!(try_enqueue(3).is_ok());
    assert_eq!(try_enqueue(0).err(), Some(EnqueueError::Full { waiting: 0, retry_after: 1 }));
}

#[tokio::test]
async fn the_permit_of_a_dropped_waiter_goes_to_the_next_call() {
    let slaves = [slave(1, 1)];
    let queue = queue(&slaves);
    let running = acquire(&slaves[0]);
    let (one, two) = (enqueue(&queue, 1, &slaves), enqueue(&queue, 2, &slaves));
    let mut three = enqueue(&queue, 3, &slaves);
    drop(one);
    drop(running);
    // The second waiter holds the permit and never takes it.
    drop(two);
    assert!(permit(&mut three).is_some());
    assert_eq!(queue.len(), 0);
}

#[tokio::test]
async fn a_permit_that_was_freed_before_the_call_was_queued_is_found() {
    let slaves = [slave(1, 1)];
    let queue = queue(&slaves);
    let mut waiter = enqueue(&queue, 1, &slaves);
    assert!(permit(&mut waiter).is_some());
}

#[tokio::test]
async fn a_new_slave_takes_waiting_calls_and_the_loss_of_the_last_ends_their_wait() {
    let mut slaves = vec![slave(1, 1)];
    let queue = queue(&slaves);
    let _running = acquire(&slaves[0]);
    let mut waiters: Vec<_> = (0..3).map(|_| enqueue(&queue, 1, &slaves)).collect();
    slaves.push(slave(2, 2));
    subscribe(&queue, &slaves);
    queue.refresh(|_, _| Some(candidates(&slaves)));
    let permits: Vec<_> = waiters.iter_mut().filter_map(permit).collect();
    assert_eq!((permits.len(), queue.len()), (2, 1));
    queue.refresh(|_, _| None);
    assert!(matches!(waiters[2].decision.try_recv(), Ok(Decision::NoSlave)));
    assert_eq!(queue.len(), 0);
    assert_eq!(queue.enqueue(pending(1), 9, || None).err(), Some(EnqueueError::NoSlave));
}

#[tokio::test]
async fn a_cancellation_ends_the_call_of_that_name_only() {
    let slaves = [slave(1, 1)];
    let queue = queue(&slaves);
    let _running = acquire(&slaves[0]);
    let name = |session: &str, id: &str| CallName { session: session.into(), request_id: id.into() };
    let enqueue_named = |id: &str| {
        let call = Pending { name: Some(name("s", id)), ..pending(1) };
        queue.enqueue(call, UNBOUNDED, || Some(candidates(&slaves))).ok().unwrap()
    };
    let (mut one, mut two) = (enqueue_named("1"), enqueue_named("\"1\""));
    queue.cancel(&name("other", "1"));
    queue.cancel(&name("s", "1"));
    queue.cancel(&name("s", "1"));
    assert!(matches!(one.decision.try_recv(), Ok(Decision::Cancelled)));
    assert!(two.decision.try_recv().is_err());
    assert_eq!(queue.len(), 1);
}

#[tokio::test]
async fn calls_wait_for_a_slave_s_rate_limit() {
    let slaves = [slave(1, 0)];
    let queue = queue(&slaves);
    slaves[0].active.set_rate_limit(Some(Arc::new(RateLimiter::new(Rate::parse("20/s:1").unwrap()))));
    let _first = acquire(&slaves[0]);
    let since = Instant::now();
    for mut waiter in (0..4).map(|_| enqueue(&queue, 1, &slaves)).collect::<Vec<_>>() {
        assert!(matches!((&mut waiter.decision).await, Ok(Decision::Serve(..))));
    }
    // The limiter's clock is real, so only the least time can be asserted.
    assert!(since.elapsed() >= Duration::from_millis(190), "{:?}", since.elapsed());
}

/// Many tasks at once acquire permits, wait for them, give up and free them: each gets a permit or gives up by itself,
/// none is left over, and no slave ever exceeds its capacity.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost() {
    let slaves: Arc<[Arc<Slave>]> = [slave(1, 1), slave(2, 2), slave(3, 1)].into();
    let queue = queue(&slaves);
    let task = |task: u64| {
        let (slaves, queue, known) = (Arc::clone(&slaves), Arc::clone(&queue), candidates(&slaves));
        async move {
            for round in 0..300 {
                let acquired = slaves.iter().find_map(|slave| slave.try_acquire().and_then(Result::ok));
                let permit = if let Some(permit) = acquired {
                    permit
                } else {
                    let call = pending(task % 5);
                    let mut waiter = queue.enqueue(call, UNBOUNDED, || Some(known.clone())).ok().unwrap();
                    if (task + round).is_multiple_of(7) {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    match (&mut waiter.decision).await {
                        Ok(Decision::Serve(_, permit)) => permit,
                        _ => panic!("a permit"),
                    }
                };
                if round % 3 == 0 {
                    tokio::task::yield_now().await;
                }
                assert!(slaves.iter().zip([1, 2, 1]).all(|(slave, max)| slave.active.in_flight() <= max));
                drop(permit);
            }
        }
    };
    let tasks: Vec<_> = (0..40).map(|n| tokio::spawn(task(n))).collect();
    for task in tasks {
        // A guard against a hang: the test takes a second or two.
        tokio::time::timeout(Duration::from_mins(5), task).await.expect("no task waits for ever").unwrap();
    }
    assert_eq!(queue.len(), 0);
    assert!(slaves.iter().all(|slave| slave.active.in_flight() == 0));
}

#[tokio::test]
async fn a_slave_takes_waiting_calls_when_its_ejection_ends() {
    let slaves = [slave(1, 1), slave(2, 1)];
    let outliers = OutlierDetector::new(EjectionPolicy { after: 1, base: Duration::from_millis(100) });
    outliers.record_outcome(slaves[0].host_slot(), Outcome::Failure("timeout"), Instant::now);
    let known = TestCandidates { slaves: slaves.as_slice().into(), outliers: Some(Arc::new(outliers)) };
    let queue = queue(&slaves);
    let _running = acquire(&slaves[1]);
    let mut waiter = queue.enqueue(pending(1), UNBOUNDED, || Some(known.clone())).ok().unwrap();
    assert!(permit(&mut waiter).is_none(), "one slave is ejected, the other is busy");
    let decision = (&mut waiter.decision).await;
    assert!(matches!(decision, Ok(Decision::Serve(slave, _)) if slave.key == 1));
}
