//! The state machine of one call: which slave has it, and what follows when that slave never got it, failed it, or is lost.
//!
//! Pure: the time is an argument, and the caller sends, waits and sleeps. `S` is a handle of a slave, `W` one of a wait in the
//! queue. Must not know either of them, nor clients.
//!
//! | state | input | next state |
//! |---|---|---|
//! | none | no slave can take the call yet, in the start window | `Redispatch` |
//! | `Sent` | the slave never got the call | `Redispatch`; after [`MAX_MOVES`] moves the call fails |
//! | `Sent` | a failure that allows a retry | `Redispatch` with the failure as fallback |
//! | `Sent` | any other event | `Sent`; the event is delivered |
//! | `Redispatch` | an attempt sent the call | `Sent` |
//! | `Redispatch` | an attempt found slaves, all of them busy | `Queued` |
//! | `Redispatch` | an attempt found no slave | `Redispatch` until its time is over; then the call fails |
//! | `Queued` | a slave got the call | `Sent` |
//! | `Queued` | the last slave is gone | `Redispatch` |
//! | `Queued` | the wait failed | the call fails |
//!
//! A call that fails delivers its fallback, if it has one.

use std::time::{Duration, Instant};

use protocol::link::call::ResponseEvent;
use protocol::mcp::failure::Failure;

use super::retry;

/// How often a call that never reached its slave is given to another.
const MAX_MOVES: u8 = 5;

/// Time between two attempts to find a slave.
const REDISPATCH_INTERVAL: Duration = Duration::from_millis(50);

/// The state of a call.
pub(super) enum CallState<S, W> {
    /// This slave has the call.
    Sent(S),
    /// The call waits for a slave with capacity.
    Queued {
        wait: W,
        /// Delivered if the wait fails.
        fallback: Option<ResponseEvent>,
    },
    /// No slave has the call; another is looked for.
    Redispatch(Redispatch),
}

/// The search for another slave.
pub(super) struct Redispatch {
    /// Time of the next attempt.
    pub(super) attempt_at: Instant,
    /// Host slot of the slave that failed the call.
    pub(super) avoid: Option<u64>,
    /// Time after which an attempt that finds no slave is the last.
    until: Instant,
    /// Delivered if no slave is found.
    fallback: Option<ResponseEvent>,
}

/// Outcome of a wait in the queue.
pub(super) enum WaitOutcome<S> {
    /// This slave has the call.
    Sent(S),
    /// The last slave that could take the call is gone.
    NoSlave,
    Failed(Failure),
}

/// Where an attempt has put a call.
pub(super) enum Dispatched<S, W> {
    /// This slave has the call.
    Sent(S),
    /// All slaves are busy: the call waits.
    Queued(W),
}

/// The state of a call and what its transitions depend on.
pub(super) struct CallMachine<S, W> {
    state: CallState<S, W>,
    moves: u8,
    /// How often the call may still be run again; 0 also once a part of the result, or of an event in several parts, was
    /// delivered, which another run could not continue.
    retries_left: u8,
    /// Time at which the call fails in any case.
    deadline: Instant,
    /// How long a call that never reached its slave looks for another.
    grace: Duration,
}

impl<S, W> CallMachine<S, W> {
    pub(super) fn new(start: Dispatched<S, W>, retries: u8, deadline: Instant, grace: Duration) -> Self {
        let state = match start {
            Dispatched::Sent(slave) => CallState::Sent(slave),
            Dispatched::Queued(wait) => CallState::Queued { wait, fallback: None },
        };
        Self { state, moves: 0, retries_left: retries, deadline, grace }
    }

    /// A call that no slave can take yet: one is looked for until `until`.
    pub(super) fn searching(
        retries: u8,
        deadline: Instant,
        grace: Duration,
        now: Instant,
        until: Instant,
    ) -> Self {
        let search = Redispatch {
            attempt_at: now + REDISPATCH_INTERVAL,
            avoid: None,
            until: until.min(deadline),
            fallback: None,
        };
        Self { state: CallState::Redispatch(search), moves: 0, retries_left: retries, deadline, grace }
    }

    pub(super) fn state(&self) -> &CallState<S, W> {
        &self.state
    }

    pub(super) fn state_mut(&mut self) -> &mut CallState<S, W> {
        &mut self.state
    }

    /// Returns the slave that has the call.
    pub(super) fn slave(&self) -> Option<&S> {
        if let CallState::Sent(slave) = &self.state { Some(slave) } else { None }
    }

    /// Returns whether the call may be run again although a slave had it.
    pub(super) fn may_retry(&self) -> bool {
        self.retries_left > 0
    }

    /// Detaches the call from a slave that never got it. Returns `false` if the call has moved too often.
    pub(super) fn on_unsent(&mut self, now: Instant) -> bool {
        self.moves += 1;
        if self.moves > MAX_MOVES {
            return false;
        }
        self.detach(None, now);
        true
    }

    /// Returns why the call is to be run again instead of delivering this event; `None` if the event is for the client.
    /// After a part of a result or of an event in several parts no retry is allowed. `now` is asked only if a retry may be allowed.
    pub(super) fn retry_reason(
        &mut self,
        event: &ResponseEvent,
        now: impl FnOnce() -> Instant,
    ) -> Option<&'static str> {
        if self.retries_left == 0 {
            return None;
        }
        let reason = retry::reason(event).filter(|_| now() < self.deadline);
        let is_part = matches!(event, ResponseEvent::End { .. } | ResponseEvent::Event { more: true, .. });
        if reason.is_none() && is_part {
            self.retries_left = 0;
        }
        reason
    }

    /// Detaches the call from the slave in this host slot, which failed it, to run it again.
    pub(super) fn retry(&mut self, failure: ResponseEvent, host_slot: u64, now: Instant) {
        self.retries_left = self.retries_left.saturating_sub(1);
        self.state = CallState::Redispatch(Redispatch {
            // The only slave may be about to withdraw the tool: it is given the time to do so.
            attempt_at: now + REDISPATCH_INTERVAL,
            avoid: Some(host_slot),
            until: self.deadline.min(now + retry::RETRY_TIMEOUT),
            fallback: Some(failure),
        });
    }

    /// Applies the outcome of a wait. Returns the event that ends the call, if it does.
    pub(super) fn on_wait_outcome(&mut self, outcome: WaitOutcome<S>, now: Instant) -> Option<ResponseEvent> {
        let fallback = self.take_fallback();
        match outcome {
            WaitOutcome::Sent(slave) => self.state = CallState::Sent(slave),
            WaitOutcome::NoSlave => self.detach(fallback, now),
            WaitOutcome::Failed(failure) => return Some(fallback.unwrap_or(ResponseEvent::Failed(failure))),
        }
        None
    }

    /// Applies the result of an attempt to find a slave. Returns the event that ends the call, if it does.
    pub(super) fn on_attempt(
        &mut self,
        result: Result<Dispatched<S, W>, Failure>,
        now: Instant,
    ) -> Option<ResponseEvent> {
        match result {
            Ok(Dispatched::Sent(slave)) => self.state = CallState::Sent(slave),
            Ok(Dispatched::Queued(wait)) => {
                let fallback = self.take_fallback();
                self.state = CallState::Queued { wait, fallback };
            }
            Err(failure) => {
                let CallState::Redispatch(search) = &mut self.state else { return None };
                if now >= search.until {
                    return Some(search.fallback.take().unwrap_or(ResponseEvent::Failed(failure)));
                }
                search.attempt_at = now + REDISPATCH_INTERVAL;
            }
        }
        None
    }

    /// Returns the event that ends a call for which no other slave is looked any more.
    pub(super) fn refuse(&mut self, failure: Failure) -> ResponseEvent {
        self.take_fallback().unwrap_or(ResponseEvent::Failed(failure))
    }

    /// Looks for another slave, from now on and for as long as a lost slave is waited for.
    fn detach(&mut self, fallback: Option<ResponseEvent>, now: Instant) {
        let until = self.deadline.min(now + self.grace);
        self.state = CallState::Redispatch(Redispatch { attempt_at: now, avoid: None, until, fallback });
    }

    fn take_fallback(&mut self) -> Option<ResponseEvent> {
        match &mut self.state {
            CallState::Sent(_) => None,
            CallState::Queued { fallback, .. } => fallback.take(),
            CallState::Redispatch(search) => search.fallback.take(),
        }
    }
}

#[cfg(test)]
mod tests;
