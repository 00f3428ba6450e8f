//! The answer of one call as its reader sees it, whichever slave gives it. Knows nothing of HTTP.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::Stream;
use protocol::call::Part;
use protocol::era::Era;
use protocol::failure::Failure;
use tokio::time::{Sleep, sleep};

use super::calls::{Aim, Dispatcher};
use super::directory::Pool;
use super::repeat;
use crate::back::{OpenCall, Slave, Slot, Taken};
use crate::metrics;
use crate::routes::Route;

/// How often a call that never reached its slave is given to another.
const MOST_MOVES: u8 = 5;

/// How often a call that lost its slave before it got there looks for another, or for the same one come back.
const LOOK: Duration = Duration::from_millis(50);

/// The parts of one call. Dropping it early cancels a modern client's call and lets a legacy client's run on.
pub(crate) struct CallStream {
    state: State,
}

enum State {
    /// It failed before any slave had it.
    Failed(Failure),
    Open(Box<Open>),
    Done,
}

pub(super) struct Open {
    pub(super) dispatcher: Dispatcher,
    pub(super) pool: Arc<Pool>,
    pub(super) route: Route,
    pub(super) slave: Arc<Slave>,
    pub(super) slot: Arc<Slot>,
    pub(super) call: OpenCall,
    pub(super) tool: String,
    pub(super) began: Instant,
    pub(super) moves: u8,
    /// How often it may be run again; 0 also once the client has a part of the result.
    pub(super) repeats: u8,
    pub(super) homeless: Option<Homeless>,
}

/// No slave has the call, and none can take it yet.
pub(super) struct Homeless {
    until: Instant,
    look: Pin<Box<Sleep>>,
    /// What the client gets if none does in time; `None`: why there is none.
    otherwise: Option<Part>,
    /// Where it need not be tried again, if there is another place.
    avoid: Option<u64>,
}

impl CallStream {
    pub(super) fn failed(failure: Failure) -> Self {
        Self { state: State::Failed(failure) }
    }

    pub(super) fn open(open: Box<Open>) -> Self {
        open.pool.meter.began();
        Self { state: State::Open(open) }
    }
}

impl Stream for CallStream {
    type Item = Part;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let this = self.get_mut();
        let polled = match &mut this.state {
            State::Open(open) => open.poll_part(cx),
            State::Failed(_) => match std::mem::replace(&mut this.state, State::Done) {
                State::Failed(failure) => Poll::Ready(Part::Failed(failure)),
                State::Open(_) | State::Done => return Poll::Ready(None),
            },
            State::Done => return Poll::Ready(None),
        };
        if let (Poll::Ready(part), State::Open(open)) = (&polled, &this.state)
            && part.is_last()
        {
            open.dispatcher.judge(part, (&open.tool, &open.pool), &open.slave);
            open.end(outcome(part));
            this.state = State::Done;
        }
        polled.map(Some)
    }
}

fn outcome(part: &Part) -> &'static str {
    match part {
        Part::End { error: true, .. } => "error",
        Part::End { tool_error: true, .. } => "tool_error",
        Part::End { .. } | Part::Event { .. } => "ok",
        Part::Failed(failure) => failure.row().kind,
    }
}

impl Open {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Part> {
        loop {
            if let Some(homeless) = &mut self.homeless {
                ready!(homeless.look.as_mut().poll(cx));
                let (until, avoid) = (homeless.until, homeless.avoid);
                match self.find_home(avoid) {
                    Ok(()) => self.homeless = None,
                    Err(failure) if Instant::now() >= until => {
                        let otherwise = self.homeless.take().and_then(|homeless| homeless.otherwise);
                        return Poll::Ready(otherwise.unwrap_or(Part::Failed(failure)));
                    }
                    Err(_) => homeless_again(&mut self.homeless),
                }
                continue;
            }
            match self.slot.poll_take(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Taken::Part(part)) => {
                    if let Part::Event { seq, payload, .. } | Part::End { seq, payload, .. } = &part {
                        self.slave.taken(self.call.id, seq + 1, payload.len());
                    }
                    if let Some(part) = self.repeat(part) {
                        return Poll::Ready(part);
                    }
                }
                Poll::Ready(Taken::Unsent) => {
                    self.moves += 1;
                    if self.moves > MOST_MOVES {
                        return Poll::Ready(Part::Failed(Failure::NoSlaveForTool {
                            name: self.tool.clone(),
                            wanted: self.route.wanted(),
                        }));
                    }
                    metrics::moved();
                    let until =
                        self.call.last.min(Instant::now() + self.dispatcher.grace().min(self.call.silence));
                    let look = Box::pin(sleep(Duration::ZERO));
                    self.homeless = Some(Homeless { until, look, otherwise: None, avoid: None });
                }
            }
        }
    }

    /// Where the call may and should be run again, it looks for a slave; else the part is for the client.
    fn repeat(&mut self, part: Part) -> Option<Part> {
        if self.repeats == 0 {
            return Some(part);
        }
        let now = Instant::now();
        let Some(reason) = repeat::reason(&part).filter(|_| now < self.call.last) else {
            if matches!(part, Part::End { .. }) {
                self.repeats = 0;
            }
            return Some(part);
        };
        self.repeats -= 1;
        self.dispatcher.judge(&part, (&self.tool, &self.pool), &self.slave);
        metrics::repeated(reason);
        let (tool, slave) = (self.tool.as_str(), self.slave.name.as_str());
        tracing::info!(tool, slave, reason, "Call is run again, as its tool allows (id: {})", self.call.id);
        let until = self.call.last.min(now + repeat::WAIT);
        // Where there is but one slave, it is about to say that the tool is gone; then it is waited for.
        let look = Box::pin(sleep(LOOK));
        self.homeless =
            Some(Homeless { until, look, otherwise: Some(part), avoid: Some(self.slave.place()) });
        None
    }

    /// No slave has the call: another takes it, under a new name, so that nothing can mix the two up. It goes by the same
    /// rule, among the slaves of now.
    fn find_home(&mut self, avoid: Option<u64>) -> Result<(), Failure> {
        let pool = self.dispatcher.pool(&self.tool)?;
        self.call.id = self.dispatcher.next_id();
        let now = Instant::now();
        self.route = pool.routes.again(&self.route);
        let aim = Aim { pool: &pool, route: &self.route, avoid };
        self.slave = self.dispatcher.send(aim, (&self.call, &self.tool), &self.slot, now)?;
        Ok(())
    }

    fn end(&self, outcome: &'static str) {
        self.pool.meter.ended(outcome, self.began.elapsed().as_secs_f64());
        let (id, slave) = (self.call.id, self.slave.name.as_str());
        if matches!(outcome, "ok" | "error" | "tool_error") {
            tracing::debug!(slave, "Received response from slave (id: {id})");
            tracing::debug!(outcome, "Response forwarded to client (id: {id})");
        } else {
            tracing::debug!(slave, outcome, "Call ended without a response (id: {id})");
        }
    }
}

fn homeless_again(homeless: &mut Option<Homeless>) {
    if let Some(homeless) = homeless {
        homeless.look = Box::pin(sleep(LOOK));
    }
}

impl Drop for CallStream {
    fn drop(&mut self) {
        if let State::Open(open) = &self.state {
            open.dispatcher.judge_nothing((&open.tool, &open.pool), &open.slave);
            match open.call.era {
                Era::Modern => {
                    open.slave.cancel(open.call.id);
                    open.end("cancelled");
                }
                Era::Legacy => {
                    open.slave.abandon(open.call.id, Instant::now());
                    open.end("abandoned");
                }
            }
        }
    }
}
