//! What the owner of a slave's end is told of calls that it retains.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "pair/pair.rs"]
mod pair;

use bytes::Bytes;
use pair::{CALL, GRACE, Pair};
use protocol::link::frame::Flags;
use protocol::link::outbox::ACK_DELAY;
use protocol::link::proxy_end::Deadlines;
use protocol::link::slave_end::{RETENTION_MARGIN, SlaveEvent};

/// What becomes of a retained call between its start and the moment at which the slave learns that its proxy is done with it.
struct Course {
    what: &'static str,
    run: fn(&mut Pair),
    may_return: bool,
}

fn ended(pair: &mut Pair) {
    pair.slave.end(CALL, Bytes::from_static(b"{}"), Flags::NONE, 0);
    pair.flow();
}

fn taken(pair: &mut Pair) {
    pair.proxy.acknowledge(CALL, 1, 2, pair.now);
    pair.now += ACK_DELAY;
    pair.flow();
}

/// The call takes longer than its proxy waits.
fn timed_out(pair: &mut Pair) {
    let total_deadline = pair.now + GRACE;
    pair.proxy.set_deadline(CALL, Deadlines { silence_timeout: GRACE, total_deadline }, pair.now);
    pair.now += GRACE * 2;
    assert_eq!(pair.proxy.time_out(pair.now), 1);
    pair.flow();
}

fn expired(pair: &mut Pair) {
    pair.slave.link_down(pair.link, pair.now);
    pair.now += GRACE + RETENTION_MARGIN;
    pair.slave.expire(pair.now);
}

const COURSES: [Course; 15] = [
    Course {
        what: "a stream with ids, read to its end",
        run: |pair| {
            ended(pair);
            taken(pair);
        },
        may_return: true,
    },
    Course {
        what: "a plain answer",
        run: |pair| {
            ended(pair);
            pair.proxy.forget(CALL);
            taken(pair);
        },
        may_return: false,
    },
    Course {
        what: "a plain answer that was taken while the link was down",
        run: |pair| {
            ended(pair);
            pair.down();
            pair.proxy.forget(CALL);
            taken(pair);
            pair.up();
            pair.flow();
        },
        may_return: false,
    },
    Course {
        what: "a stream that was taken while the link was down",
        run: |pair| {
            ended(pair);
            pair.down();
            taken(pair);
            pair.up();
            pair.flow();
        },
        may_return: true,
    },
    Course {
        what: "a client that left its stream",
        run: |pair| {
            pair.proxy.abandon(CALL, pair.now);
            ended(pair);
            pair.now += ACK_DELAY;
            pair.flow();
        },
        may_return: true,
    },
    Course {
        what: "a client that left before it had a stream",
        run: |pair| {
            pair.proxy.forget(CALL);
            pair.proxy.abandon(CALL, pair.now);
            ended(pair);
            pair.now += ACK_DELAY;
            pair.flow();
        },
        may_return: false,
    },
    Course {
        what: "a call that was cancelled",
        run: |pair| {
            pair.proxy.cancel(CALL);
            pair.flow();
        },
        may_return: true,
    },
    Course {
        what: "a call that was cancelled, whose client got no ids",
        run: |pair| {
            pair.ear.1.set(true);
            pair.proxy.cancel(CALL);
            pair.flow();
        },
        may_return: false,
    },
    Course { what: "a call that took too long, with a stream of ids", run: timed_out, may_return: true },
    Course {
        what: "a call that took too long, whose client got no ids",
        run: |pair| {
            pair.ear.1.set(true);
            timed_out(pair);
        },
        may_return: false,
    },
    Course {
        what: "a call that took too long while the link was down, whose client got no ids",
        run: |pair| {
            pair.ear.1.set(true);
            pair.down();
            timed_out(pair);
            pair.up();
            pair.flow();
        },
        may_return: false,
    },
    Course {
        what: "a call that took too long after its client had left a stream of ids",
        run: |pair| {
            pair.proxy.abandon(CALL, pair.now);
            pair.ear.1.set(true);
            timed_out(pair);
        },
        may_return: true,
    },
    Course { what: "a proxy that does not come back, before the end", run: expired, may_return: true },
    Course {
        what: "a proxy that does not come back for the end, whatever it knew",
        run: |pair| {
            ended(pair);
            pair.proxy.forget(CALL);
            expired(pair);
        },
        may_return: true,
    },
    Course {
        what: "a proxy that is gone for good",
        run: |pair| {
            pair.slave.proxy_gone(pair.link, pair.now);
            pair.slave.end(CALL, Bytes::from_static(b"{}"), Flags::NONE, 0);
        },
        may_return: true,
    },
];

#[test]
fn whoever_retains_a_call_learns_once_whether_its_client_may_come_back() {
    for Course { what, run, may_return } in COURSES {
        let mut pair = Pair::new();
        pair.open(b"m");
        pair.flow();
        assert!(pair.slave.set_retained(CALL));
        run(&mut pair);
        let is_release = |event: &SlaveEvent| matches!(event, SlaveEvent::Released { .. });
        let released: Vec<SlaveEvent> = pair.events().into_iter().filter(is_release).collect();
        assert_eq!(released, [SlaveEvent::Released { call: CALL, may_return }], "{what}");
        assert!(!pair.slave.set_retained(CALL), "{what}: the call is known no more");
    }
}

#[test]
fn nobody_is_told_of_a_call_that_is_not_retained() {
    for Course { what, run, .. } in COURSES {
        let mut pair = Pair::new();
        pair.open(b"m");
        pair.flow();
        run(&mut pair);
        assert!(!pair.events().iter().any(|event| matches!(event, SlaveEvent::Released { .. })), "{what}");
    }
}
