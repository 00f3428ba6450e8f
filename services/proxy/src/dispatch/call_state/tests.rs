//! The table of transitions in `call_state`, row by row.

use bytes::Bytes;

use super::*;

const GRACE: Duration = Duration::from_secs(30);
const TOTAL: Duration = Duration::from_mins(5);

/// Slaves and waits are names.
type Machine = CallMachine<&'static str, &'static str>;

fn sent(retries: u8) -> (Machine, Instant) {
    let now = Instant::now();
    (Machine::new(Dispatched::Sent("a"), retries, now + TOTAL, GRACE), now)
}

fn queued() -> (Machine, Instant) {
    let now = Instant::now();
    (Machine::new(Dispatched::Queued("w"), 0, now + TOTAL, GRACE), now)
}

/// A call whose slave failed it and that is to be run again.
fn retrying() -> (Machine, Instant) {
    let (mut machine, now) = sent(1);
    machine.retry(lost(), 7, now);
    (machine, now)
}

fn lost() -> ResponseEvent {
    ResponseEvent::Failed(Failure::OutcomeUnknown)
}

fn result() -> ResponseEvent {
    let payload = Bytes::from_static(b"{}");
    ResponseEvent::End { seq: 0, more: true, error: false, tool_error: false, status: 0, payload }
}

fn state(machine: &Machine) -> String {
    match machine.state() {
        CallState::Sent(slave) => format!("sent {slave}"),
        CallState::Queued { wait, fallback } => format!("queued {wait}, fallback {}", fallback.is_some()),
        CallState::Redispatch(search) => {
            format!("redispatch avoiding {:?}, fallback {}", search.avoid, search.fallback.is_some())
        }
    }
}

fn is_failure(event: Option<&ResponseEvent>, expected: &Failure) -> bool {
    matches!(event, Some(ResponseEvent::Failed(failure)) if failure == expected)
}

#[test]
fn an_unsent_call_looks_for_another_slave_at_once_and_fails_after_too_many_moves() {
    let (mut machine, now) = sent(0);
    for _ in 0..MAX_MOVES {
        assert!(machine.on_unsent(now));
        assert_eq!(state(&machine), "redispatch avoiding None, fallback false");
        let CallState::Redispatch(search) = machine.state() else { unreachable!() };
        assert_eq!((search.attempt_at, search.until), (now, now + GRACE));
        assert!(machine.on_attempt(Ok(Dispatched::Sent("b")), now).is_none());
        assert_eq!(state(&machine), "sent b");
    }
    assert!(!machine.on_unsent(now));
}

#[test]
fn a_failed_call_is_run_again_elsewhere_while_retries_are_left() {
    let (mut machine, now) = sent(1);
    assert_eq!(machine.retry_reason(&lost(), || now), Some("outcome_unknown"));
    machine.retry(lost(), 7, now);
    assert_eq!(state(&machine), "redispatch avoiding Some(7), fallback true");
    let CallState::Redispatch(search) = machine.state() else { unreachable!() };
    assert_eq!(search.attempt_at, now + REDISPATCH_INTERVAL);
    assert!(machine.on_attempt(Ok(Dispatched::Sent("b")), now).is_none());
    assert_eq!(machine.retry_reason(&lost(), || now), None, "no retry is left");
}

#[test]
fn a_call_is_not_run_again_after_its_deadline_or_a_part_of_its_result() {
    let (mut machine, now) = sent(1);
    assert_eq!(machine.retry_reason(&lost(), || now + TOTAL), None);
    assert_eq!(machine.retry_reason(&result(), || now), None);
    assert_eq!(machine.retry_reason(&lost(), || now), None);
}

#[test]
fn a_call_is_run_again_after_whole_events_but_not_after_a_part_of_one() {
    let event =
        |more| ResponseEvent::Event { seq: 0, more, request: false, payload: Bytes::from_static(b"{}") };
    let (mut machine, now) = sent(1);
    assert_eq!(machine.retry_reason(&event(false), || now), None);
    assert_eq!(machine.retry_reason(&lost(), || now), Some("outcome_unknown"));
    // The next run's event would be glued to the part that the client has.
    assert_eq!(machine.retry_reason(&event(true), || now), None);
    assert_eq!(machine.retry_reason(&lost(), || now), None);
}

#[test]
fn an_attempt_that_finds_busy_slaves_only_queues_the_call_with_its_fallback() {
    let (mut machine, now) = retrying();
    assert!(machine.on_attempt(Ok(Dispatched::Queued("w")), now).is_none());
    assert_eq!(state(&machine), "queued w, fallback true");
}

#[test]
fn an_attempt_without_a_slave_is_repeated_until_the_time_is_over() {
    let (mut machine, now) = sent(0);
    assert!(machine.on_unsent(now));
    let later = now + GRACE / 2;
    assert!(machine.on_attempt(Err(Failure::NoSlave), later).is_none());
    let CallState::Redispatch(search) = machine.state() else { panic!("redispatch") };
    assert_eq!(search.attempt_at, later + REDISPATCH_INTERVAL);
    assert!(is_failure(machine.on_attempt(Err(Failure::NoSlave), now + GRACE).as_ref(), &Failure::NoSlave));
}

#[test]
fn a_retry_without_a_slave_delivers_the_first_failure() {
    let (mut machine, now) = retrying();
    let end = machine.on_attempt(Err(Failure::NoSlave), now + retry::RETRY_TIMEOUT);
    assert!(is_failure(end.as_ref(), &Failure::OutcomeUnknown));
}

#[test]
fn the_outcome_of_a_wait_sends_redispatches_or_ends_the_call() {
    let (mut machine, now) = queued();
    assert!(machine.on_wait_outcome(WaitOutcome::NoSlave, now).is_none());
    assert_eq!(state(&machine), "redispatch avoiding None, fallback false");
    let (mut machine, now) = queued();
    assert!(machine.on_wait_outcome(WaitOutcome::Sent("b"), now).is_none());
    assert_eq!(state(&machine), "sent b");
    let (mut machine, now) = queued();
    let end = machine.on_wait_outcome(WaitOutcome::Failed(Failure::Timeout), now);
    assert!(is_failure(end.as_ref(), &Failure::Timeout));
}

#[test]
fn a_wait_keeps_the_fallback_of_a_retry() {
    let (mut machine, now) = retrying();
    assert!(machine.on_attempt(Ok(Dispatched::Queued("w")), now).is_none());
    assert!(machine.on_wait_outcome(WaitOutcome::NoSlave, now).is_none());
    assert_eq!(state(&machine), "redispatch avoiding None, fallback true");
    assert!(machine.on_attempt(Ok(Dispatched::Queued("w")), now).is_none());
    let end = machine.on_wait_outcome(WaitOutcome::Failed(Failure::Timeout), now);
    assert!(is_failure(end.as_ref(), &Failure::OutcomeUnknown));
}

#[test]
fn a_call_that_no_slave_can_take_yet_is_looked_for_one_until_the_window_is_over() {
    let now = Instant::now();
    let until = now + Duration::from_secs(15);
    let mut machine = Machine::searching(0, now + TOTAL, GRACE, now, until);
    assert_eq!(state(&machine), "redispatch avoiding None, fallback false");
    assert!(machine.on_attempt(Err(Failure::NoSlave), now).is_none());
    let failed = machine.on_attempt(Err(Failure::NoSlave), until);
    assert!(is_failure(failed.as_ref(), &Failure::NoSlave), "{failed:?}");
    let mut machine = Machine::searching(0, now + TOTAL, GRACE, now, until);
    assert!(machine.on_attempt(Ok(Dispatched::Sent("a")), now).is_none());
    assert_eq!(state(&machine), "sent a");
}
