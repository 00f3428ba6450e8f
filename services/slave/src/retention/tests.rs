//! What is kept of calls: exactly what was sent, within time and size, for nobody but its session.

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use protocol::link::header::{CallHeader, Purpose};
use protocol::link::ids::CallId;
use protocol::mcp::era::Era;
use protocol::mcp::failure::{FailureKind, kind_in};
use tokio::sync::mpsc;

use super::retained_call::{CALL, EVENT, RetainedCall};
use super::store::{Retention, RetentionLimits};
use crate::call::testing::{header, within};
use crate::call::{CallEnd, CallSink, SinkClosed};

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Event(Bytes),
    Request(Bytes),
    End(CallEnd),
}

struct Reader(mpsc::UnboundedSender<Got>);

impl CallSink for Reader {
    fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
        let sent = self.0.send(Got::Event(json)).map_err(|_| SinkClosed);
        async move { sent }.boxed()
    }

    fn request(&mut self, json: Bytes) -> Result<(), SinkClosed> {
        self.0.send(Got::Request(json)).map_err(|_| SinkClosed)
    }

    fn end(self: Box<Self>, end: CallEnd) {
        let _ = self.0.send(Got::End(end));
    }
}

fn store(seconds: u64, bytes: usize) -> Arc<Retention> {
    Retention::new(RetentionLimits { time: Duration::from_secs(seconds), bytes })
}

fn of(client: &str, session: &str) -> CallHeader {
    let session = Some(session.to_owned());
    CallHeader { resumable: true, client: Some(client.into()), session, ..header(Era::Legacy) }
}

fn end(text: &'static str) -> CallEnd {
    CallEnd::result(Bytes::from_static(text.as_bytes()))
}

/// Ends a call to which its client may return.
fn finish(store: &Retention, call: &RetainedCall, end: &CallEnd) {
    store.end(call, end);
    store.release(call.call, true);
}

fn resume(store: &Arc<Retention>, call: u128, after: u64, who: &CallHeader) -> mpsc::UnboundedReceiver<Got> {
    let purpose = Purpose::Resume { call: format!("{call:032x}"), after };
    let (sender, receiver) = mpsc::unbounded_channel();
    store.resume(&CallHeader { purpose, ..who.clone() }, Box::new(Reader(sender)));
    receiver
}

async fn read(mut receiver: mpsc::UnboundedReceiver<Got>) -> Vec<Got> {
    let mut got = Vec::new();
    within(async {
        while let Some(next) = receiver.recv().await {
            got.push(next);
        }
    })
    .await;
    got
}

fn is_lost(got: &[Got]) -> bool {
    matches!(got, [Got::End(end)] if end.error && kind_in(&end.payload) == Some(FailureKind::StateLost))
}

#[tokio::test]
async fn a_reader_goes_on_behind_what_it_has_while_the_call_runs_and_after_its_end() {
    let (store, me) = (store(60, 1 << 20), of("a", "s"));
    let call = store.begin(CallId(7), &me).unwrap();
    call.event("1".into());
    let running = resume(&store, 7, 0, &me);
    call.request("2".into());
    call.event("3".into());
    finish(&store, &call, &end("{}"));
    let all = || {
        vec![Got::Event("1".into()), Got::Request("2".into()), Got::Event("3".into()), Got::End(end("{}"))]
    };
    assert_eq!(read(running).await, all());
    for after in 0..=3 {
        let expected: Vec<Got> = all().into_iter().skip(usize::try_from(after).unwrap()).collect();
        assert_eq!(read(resume(&store, 7, after, &me)).await, expected, "after {after}");
    }
    for (what, call, after, who) in [
        ("behind the end", 7, 4, &me),
        ("far behind", 7, u64::MAX, &me),
        ("no such call", 8, 0, &me),
        ("another session", 7, 0, &of("a", "t")),
        ("another client", 7, 0, &of("b", "s")),
    ] {
        assert!(is_lost(&read(resume(&store, call, after, who)).await), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_forgotten_in_time_and_with_their_session() {
    let (store, me) = (store(60, 1 << 20), of("a", "s"));
    store.follow_time();
    for call in [1, 2] {
        let call = store.begin(CallId(call), &me).unwrap();
        call.event("event".into());
        finish(&store, &call, &end("{}"));
    }
    let other = store.begin(CallId(3), &of("a", "t")).unwrap();
    finish(&store, &other, &end("{}"));
    store.end_session("t");
    assert_eq!(store.len(), 2);
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(read(resume(&store, 1, 1, &me)).await, [Got::End(end("{}"))]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    drop(other);
    assert_eq!((store.len(), store.bytes()), (0, 0));
    assert!(is_lost(&read(resume(&store, 1, 1, &me)).await));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_call_begins_once_it_has_ended_and_nobody_answers_its_client_any_more() {
    let (store, me) = (store(60, 1 << 20), of("a", "s"));
    store.follow_time();
    let [one, two] = [1, 2].map(|call| store.begin(CallId(call), &me).unwrap());
    store.end(&one, &end("{}"));
    store.release(CallId(2), true);
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(store.len(), 2, "one is being answered, the other runs");
    store.release(CallId(1), true);
    store.end(&two, &end("{}"));
    tokio::time::sleep(Duration::from_secs(50)).await;
    for call in [1, 2] {
        assert_eq!(read(resume(&store, call, 0, &me)).await, [Got::End(end("{}"))]);
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(store.len(), 0);
}

#[test]
fn nothing_is_kept_of_plain_answers() {
    let (store, me) = (store(60, 1 << 30), of("a", "s"));
    for call in 0..10_000 {
        let retained = store.begin(CallId(call), &me).unwrap();
        // Its client may leave before the end.
        if call % 2 == 0 {
            store.release(CallId(call), false);
            store.end(&retained, &end("{}"));
        } else {
            store.end(&retained, &end("{}"));
            store.release(CallId(call), false);
        }
    }
    assert_eq!((store.len(), store.bytes()), (0, 0));
    let queued = measure(|| drop(store));
    assert!(queued.bytes_current.unsigned_abs() < 100_000, "{} bytes stood in queues", -queued.bytes_current);
}

#[test]
fn only_what_a_client_may_come_back_to_is_kept() {
    let me = of("a", "s");
    assert!(store(0, 1 << 20).begin(CallId(1), &me).is_none());
    let store = store(60, 1 << 20);
    for header in [
        CallHeader { resumable: false, ..me.clone() },
        CallHeader { session: None, ..me.clone() },
        CallHeader { purpose: Purpose::Reply, ..me.clone() },
    ] {
        assert!(store.begin(CallId(1), &header).is_none());
    }
    assert_eq!(store.len(), 0);
}

#[tokio::test]
async fn a_client_that_keeps_much_takes_nothing_from_another() {
    const LIMIT: usize = 1 << 20;
    let (store, me, greedy) = (store(60, LIMIT), of("a", "s"), of("b", "t"));
    let mine = store.begin(CallId(1), &me).unwrap();
    mine.event("mine".into());
    finish(&store, &mine, &end("{}"));
    let calls = 100;
    for number in 0..calls {
        // Its sessions count together.
        let session = if number % 2 == 0 { greedy.clone() } else { of("b", "u") };
        let call = store.begin(CallId(100 + number), &session).unwrap();
        call.event(vec![b'x'; LIMIT / 10].into());
        finish(&store, &call, &end("{}"));
    }
    assert!(store.bytes() <= LIMIT / 2 + LIMIT / 10, "{}", store.bytes());
    assert_eq!(read(resume(&store, 1, 1, &me)).await, [Got::End(end("{}"))], "it ended first of all");
    let last = read(resume(&store, 100 + calls - 1, 1, &of("b", "u"))).await;
    assert_eq!(last, [Got::End(end("{}"))], "the newest of its own are kept");
    assert!(is_lost(&read(resume(&store, 100, 0, &greedy)).await), "its oldest gave way");
}

#[test]
fn what_is_counted_is_what_is_allocated() {
    const CALLS: u128 = 10_000;
    let text = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
    let digest = "0123456789abcdef0123456789abcdef";
    for (what, who, events, bytes) in [
        ("an end alone", of("a", "s"), 0, 0),
        ("names as long as digests", of(digest, digest), 0, 40),
        ("an event", of("a", "s"), 1, 40),
        ("many events", of("a", "s"), 20, 40),
        ("large events", of("a", "s"), 3, 2000),
    ] {
        let store = store(60, 1 << 30);
        let real = measure(|| {
            for call in 0..CALLS {
                let call = store.begin(CallId(call), &who).unwrap();
                for _ in 0..events {
                    // The journal has another reader of the same bytes for a while.
                    let sent = text(bytes);
                    call.event(sent.clone());
                }
                let end = CallEnd::result(text(60));
                finish(&store, &call, &end);
            }
        });
        let (counted, real) = (store.bytes(), usize::try_from(real.bytes_current).unwrap());
        assert_eq!(store.len(), 10_000, "{what}");
        assert!(
            (real * 8..real * 15).contains(&(counted * 10)),
            "{what}: counted {counted}, allocated {real}"
        );
    }
}

proptest! {
    #[test]
    fn no_order_of_calls_takes_more_than_the_limit(steps in proptest::collection::vec((0_u128..8, 0_usize..3000, any::<bool>()), 1..200)) {
        const LIMIT: usize = 16 * 1024;
        // The client's and the session's names are short.
        const LARGEST: usize = 3000 + EVENT + CALL + 64;
        let store = store(60, LIMIT);
        let mut running: Vec<Option<_>> = (0..8).map(|_| None).collect();
        for (number, (call, bytes, ends)) in (0_u128..).zip(steps) {
            let slot = &mut running[usize::try_from(call).unwrap()];
            let call = slot.get_or_insert_with(|| store.begin(CallId(call + 8 * number), &of("a", "s")).unwrap());
            call.event(vec![b'x'; bytes].into());
            if ends && let Some(call) = slot.take() {
                finish(&store, &call, &end("{}"));
            }
            // Each call that runs keeps at most its share and the event that came last.
            prop_assert!(store.bytes() <= LIMIT + 8 * LARGEST, "{}", store.bytes());
        }
    }
}
