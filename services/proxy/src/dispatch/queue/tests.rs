//! Nothing is lost, nobody is passed over, nobody waits for ever. Slaves are real, their links are not.

use std::time::Duration;

use protocol::link::handshake::SlaveHello;
use protocol::link::ids::InstanceId;
use protocol::link::limits::LinkLimits;
use protocol::mcp::catalog::Catalog;

use super::*;
use crate::balance::outliers::Policy;
use crate::config::{BalanceConfig, SlaveMode, ToolConflict};
use crate::dispatch::calls::Policies;
use crate::dispatch::directory::{Directory, Rules};
use crate::dispatch::limits::Limits;
use crate::dispatch::repeat::Repeat;
use crate::limits::rate::Rate;
use crate::routes::Routes;

const FOREVER: usize = usize::MAX;

fn slave(key: u64, capacity: u32) -> Arc<Slave> {
    let hello = SlaveHello { slave_name: format!("s{key}"), capacity, ..SlaveHello::default() };
    let catalog = Catalog::decode(br#"{"tools":[{"name":"t"}]}"#).unwrap();
    Slave::for_test(&hello, key, LinkLimits::default(), catalog)
}

/// Where calls of the tool `t` may go.
fn ways(slaves: &[Arc<Slave>]) -> Option<Ways> {
    let ejection = Policy { after: 0, base: Duration::from_secs(1) };
    let balance = BalanceConfig::for_test();
    let policies = Policies { conflict: ToolConflict::Namespace, ejection, repeat: Repeat::Never, balance };
    let (routes, limits) = (Routes::default(), Limits::default());
    let rules = Rules { routes: &routes, policies: &policies, limits: &limits };
    let (directory, _) = Directory::build(slaves, &rules, &Directory::default());
    let pool = Arc::clone(directory.pool("t")?);
    let route = pool.routes.unruled();
    Some((pool, route))
}

fn lobby(slaves: &[Arc<Slave>]) -> Arc<Lobby> {
    let ejection = Policy { after: 0, base: Duration::from_secs(1) };
    let lobby =
        Lobby::new(Registry::new(InstanceId(1), SlaveMode::Multi, 10, LinkLimits::default(), ejection));
    watch(&lobby, slaves);
    lobby
}

fn watch(lobby: &Arc<Lobby>, slaves: &[Arc<Slave>]) {
    let freed: Arc<dyn CapacityListener> = Arc::clone(lobby) as _;
    for slave in slaves {
        slave.active.subscribe(&freed);
    }
}

fn newcomer(client: u64, slaves: &[Arc<Slave>]) -> Newcomer {
    let lane = Lane::new("t", &ways(slaves).unwrap().1);
    Newcomer { lane, client: Client::Session(client), named: None }
}

fn join(lobby: &Arc<Lobby>, client: u64, slaves: &[Arc<Slave>]) -> Seat {
    let Ok(seat) = lobby.join(newcomer(client, slaves), FOREVER, || ways(slaves)) else {
        panic!("room in the queue")
    };
    seat
}

/// The place that a seat was given, if it was.
fn place(seat: &mut Seat) -> Option<Permit> {
    match seat.verdict.try_recv() {
        Ok(Verdict::Place(_, place)) => Some(place),
        _ => None,
    }
}

fn enter(slave: &Arc<Slave>) -> Permit {
    slave.try_acquire().unwrap().unwrap()
}

#[tokio::test]
async fn a_freed_place_goes_to_one_call_and_to_each_client_in_turn() {
    let slaves = [slave(1, 1)];
    let lobby = lobby(&slaves);
    let running = enter(&slaves[0]);
    let mut flood: Vec<Seat> = (0..10).map(|_| join(&lobby, 1, &slaves)).collect();
    let mut other = join(&lobby, 2, &slaves);
    drop(running);
    let first = place(&mut flood[0]).expect("the first call's place");
    assert!(flood[1..].iter_mut().all(|seat| place(seat).is_none()) && place(&mut other).is_none());
    assert!(slaves[0].try_acquire().unwrap().is_err(), "no newcomer takes the place");
    drop(first);
    assert!(place(&mut flood[1]).is_none());
    drop(place(&mut other).expect("the other client's turn"));
    let _second = place(&mut flood[1]).expect("the first client's turn again");
    assert_eq!(lobby.len(), 8);
}

#[tokio::test]
async fn the_queue_is_bounded_and_says_when_to_come_back() {
    let slaves = [slave(1, 1)];
    let lobby = lobby(&slaves);
    let _running = enter(&slaves[0]);
    let seats: Vec<Seat> = (0..3).map(|_| join(&lobby, 1, &slaves)).collect();
    let refused = lobby.join(newcomer(2, &slaves), 3, || ways(&slaves)).err();
    assert_eq!(refused, Some(Refused::Full(3, 60)));
    drop(seats);
    assert_eq!(lobby.len(), 0);
    assert!(lobby.join(newcomer(2, &slaves), 3, || ways(&slaves)).is_ok());
    assert_eq!(lobby.join(newcomer(2, &slaves), 0, || ways(&slaves)).err(), Some(Refused::Full(0, 1)));
}

#[tokio::test]
async fn a_call_that_leaves_gives_its_place_to_the_next() {
    let slaves = [slave(1, 1)];
    let lobby = lobby(&slaves);
    let running = enter(&slaves[0]);
    let (one, two, mut three) =
        (join(&lobby, 1, &slaves), join(&lobby, 2, &slaves), join(&lobby, 3, &slaves));
    drop(one);
    drop(running);
    // The place is handed to the second, which never takes it.
    drop(two);
    assert!(place(&mut three).is_some());
    assert_eq!(lobby.len(), 0);
}

#[tokio::test]
async fn a_place_that_came_free_before_the_call_began_to_wait_is_found() {
    let slaves = [slave(1, 1)];
    let lobby = lobby(&slaves);
    let mut seat = join(&lobby, 1, &slaves);
    assert!(place(&mut seat).is_some());
}

#[tokio::test]
async fn a_slave_that_joins_takes_waiting_calls_and_the_last_one_that_goes_tells_them() {
    let mut slaves = vec![slave(1, 1)];
    let lobby = lobby(&slaves);
    let _running = enter(&slaves[0]);
    let mut seats: Vec<Seat> = (0..3).map(|_| join(&lobby, 1, &slaves)).collect();
    slaves.push(slave(2, 2));
    watch(&lobby, &slaves);
    lobby.refresh(|_, _| ways(&slaves));
    let places: Vec<_> = seats.iter_mut().filter_map(place).collect();
    assert_eq!((places.len(), lobby.len()), (2, 1));
    lobby.refresh(|_, _| None);
    assert!(matches!(seats[2].verdict.try_recv(), Ok(Verdict::NoSlave)));
    assert_eq!(lobby.len(), 0);
    assert_eq!(lobby.join(newcomer(1, &slaves), 9, || None).err(), Some(Refused::NoSlave));
}

#[tokio::test]
async fn cancelling_ends_the_call_of_that_name_only() {
    let slaves = [slave(1, 1)];
    let lobby = lobby(&slaves);
    let _running = enter(&slaves[0]);
    let named = |id: &str| {
        let newcomer = Newcomer { named: Some(("s".into(), id.into())), ..newcomer(1, &slaves) };
        lobby.join(newcomer, FOREVER, || ways(&slaves)).ok().unwrap()
    };
    let (mut one, mut two) = (named("1"), named("\"1\""));
    lobby.cancel("other", "1");
    lobby.cancel("s", "1");
    lobby.cancel("s", "1");
    assert!(matches!(one.verdict.try_recv(), Ok(Verdict::Cancelled)));
    assert!(two.verdict.try_recv().is_err());
    assert_eq!(lobby.len(), 1);
}

#[tokio::test]
async fn a_slave_s_rate_limit_is_waited_for_with_a_timer() {
    let slaves = [slave(1, 0)];
    let lobby = lobby(&slaves);
    slaves[0].active.set_rate_limit(Some(Arc::new(crate::limits::rate_limiter::RateLimiter::new(
        Rate::parse("20/s:1").unwrap(),
    ))));
    let _first = enter(&slaves[0]);
    let since = Instant::now();
    let mut seats: Vec<Seat> = (0..4).map(|_| join(&lobby, 1, &slaves)).collect();
    for seat in &mut seats {
        let verdict = tokio::time::timeout(Duration::from_secs(10), &mut seat.verdict).await;
        assert!(matches!(verdict, Ok(Ok(Verdict::Place(..)))));
    }
    assert!(since.elapsed() >= Duration::from_millis(190), "{:?}", since.elapsed());
}

/// Many tasks at once take places, wait for them, give up and give back: each of them gets a place or gives up
/// itself, nothing is left over, and no slave ever has more than its capacity.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost() {
    let slaves: Arc<[Arc<Slave>]> = [slave(1, 1), slave(2, 2), slave(3, 1)].into();
    let lobby = lobby(&slaves);
    let known = ways(&slaves).map(Arc::new).unwrap();
    let task = |task: u64| {
        let (slaves, lobby, known) = (Arc::clone(&slaves), Arc::clone(&lobby), Arc::clone(&known));
        async move {
            for round in 0..300 {
                let found = slaves.iter().find_map(|slave| slave.try_acquire().and_then(Result::ok));
                let place = if let Some(place) = found {
                    place
                } else {
                    let newcomer = Newcomer {
                        lane: Lane::new("t", &known.1),
                        client: Client::Session(task % 5),
                        named: None,
                    };
                    let ways = || Some((*known).clone());
                    let mut seat = lobby.join(newcomer, FOREVER, ways).ok().unwrap();
                    if (task + round).is_multiple_of(7) {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    match (&mut seat.verdict).await {
                        Ok(Verdict::Place(_, place)) => place,
                        _ => panic!("a place"),
                    }
                };
                if round % 3 == 0 {
                    tokio::task::yield_now().await;
                }
                assert!(slaves.iter().zip([1, 2, 1]).all(|(slave, most)| slave.active.in_flight() <= most));
                drop(place);
            }
        }
    };
    let tasks: Vec<_> = (0..40).map(|n| tokio::spawn(task(n))).collect();
    for task in tasks {
        tokio::time::timeout(Duration::from_mins(1), task).await.expect("no task waits for ever").unwrap();
    }
    assert_eq!(lobby.len(), 0);
    assert!(slaves.iter().all(|slave| slave.active.in_flight() == 0));
}

#[tokio::test]
async fn a_slave_that_was_left_out_takes_waiting_calls_when_its_time_is_over() {
    let slaves = [slave(1, 1), slave(2, 1)];
    let ejection = Policy { after: 1, base: Duration::from_millis(100) };
    let registry = Registry::new(InstanceId(1), SlaveMode::Multi, 10, LinkLimits::default(), ejection);
    registry.outliers.record_outcome(
        slaves[0].host_slot(),
        crate::balance::outliers::Outcome::Failure("timeout"),
        Instant::now(),
    );
    let lobby = Lobby::new(registry);
    watch(&lobby, &slaves);
    let _running = enter(&slaves[1]);
    let mut seat = join(&lobby, 1, &slaves);
    assert!(place(&mut seat).is_none(), "it is left out, and the other is full");
    let verdict = tokio::time::timeout(Duration::from_secs(20), &mut seat.verdict).await;
    assert!(matches!(verdict, Ok(Ok(Verdict::Place(slave, _))) if slave.key == 1));
}
