//! The answer of one call as its reader sees it, whichever slave gives it. Knows nothing of HTTP.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use front::metrics::Ended;
use futures_util::Stream;
use protocol::link::call::ResponseEvent;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::{self, Failure};
use runtime::activity::CallGuard;
use runtime::telemetry::LogContext;
use tokio::time::{Sleep, sleep};

use super::calls::Dispatcher;
use super::directory::Pool;
use super::open_call::OpenCall;
use super::queue::{Outcome, release};
use super::repeat;
use super::send::{Aim, Caller, Unsent, Waiting};
use crate::links::{Recv, ResponseRx, Slave};
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
    pub(super) caller: Caller,
    pub(super) at: At,
    pub(super) slot: Arc<ResponseRx>,
    pub(super) call: OpenCall,
    pub(super) tool: String,
    pub(super) version: Version,
    pub(super) began: Instant,
    pub(super) moves: u8,
    /// How often it may be run again; 0 also once the client has a part of the result.
    pub(super) repeats: u8,
    pub(super) watched: CallGuard,
}

/// Where the call is.
pub(super) enum At {
    /// This slave has it.
    Slave(Arc<Slave>),
    /// It waits for a slave with room; if it waits in vain, the client gets this part, if there is one.
    Queue(Waiting, Option<ResponseEvent>),
    /// No slave has it, and none is there.
    Nowhere(Homeless),
}

/// No slave has the call, and none can take it yet.
pub(super) struct Homeless {
    until: Instant,
    look: Pin<Box<Sleep>>,
    /// What the client gets if none does in time; `None`: why there is none.
    otherwise: Option<ResponseEvent>,
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

    fn subject(&self) -> Option<LogContext> {
        if let State::Open(open) = &self.state { Some(open.call.subject()) } else { None }
    }
}

impl CallStream {
    /// The same, written down as this.
    pub(super) fn watched(mut self, watched: CallGuard) -> Self {
        if let State::Open(open) = &mut self.state {
            open.watched = watched;
        }
        self
    }
}

impl Stream for CallStream {
    type Item = ResponseEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ResponseEvent>> {
        let this = self.get_mut();
        let _entered = this.subject().map(LogContext::enter);
        let polled = match &mut this.state {
            State::Open(open) => {
                let polled = open.poll_part(cx);
                open.watch(&polled);
                polled
            }
            State::Failed(_) => match std::mem::replace(&mut this.state, State::Done) {
                State::Failed(failure) => Poll::Ready(ResponseEvent::Failed(failure)),
                State::Open(_) | State::Done => return Poll::Ready(None),
            },
            State::Done => return Poll::Ready(None),
        };
        if let (Poll::Ready(part), State::Open(open)) = (&polled, &this.state)
            && part.is_last()
        {
            if let At::Slave(slave) = &open.at {
                open.dispatcher.judge(part, (&open.tool, &open.pool), slave);
            }
            open.end(Ending::of(part));
            this.state = State::Done;
        }
        polled.map(Some)
    }
}

/// How a call ended, for logs and metrics.
#[derive(Clone, Copy)]
struct Ending {
    /// The metric's label.
    outcome: &'static str,
    ended: Ended,
    /// A slave said so.
    answered: bool,
}

impl Ending {
    /// By the last part of the answer.
    fn of(part: &ResponseEvent) -> Self {
        let outcome = match part {
            ResponseEvent::End { error: true, payload, .. } => failure::kind_in(payload).unwrap_or("error"),
            ResponseEvent::End { tool_error: true, .. } => "tool_error",
            ResponseEvent::End { .. } | ResponseEvent::Event { .. } => "ok",
            ResponseEvent::Failed(failure) => failure.spec().kind,
        };
        Self { outcome, ended: Ended::of(part), answered: matches!(part, ResponseEvent::End { .. }) }
    }

    /// The client went before the end.
    fn left(outcome: &'static str) -> Self {
        Self { outcome, ended: Ended::Unanswered(outcome), answered: false }
    }
}

impl Open {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<ResponseEvent> {
        loop {
            let slave = match &mut self.at {
                At::Slave(slave) => slave,
                At::Queue(waiting, otherwise) => {
                    let outcome = ready!(Pin::new(waiting).poll(cx)).unwrap_or(Outcome::NoSlave);
                    let otherwise = otherwise.take();
                    if let Some(part) = self.waited(outcome, otherwise) {
                        return Poll::Ready(part);
                    }
                    continue;
                }
                At::Nowhere(homeless) => {
                    ready!(homeless.look.as_mut().poll(cx));
                    if let Some(part) = self.look() {
                        return Poll::Ready(part);
                    }
                    continue;
                }
            };
            match self.slot.poll_recv(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Recv::ResponseEvent(part)) => {
                    if let ResponseEvent::Event { seq, payload, .. }
                    | ResponseEvent::End { seq, payload, .. } = &part
                    {
                        slave.acknowledge(self.call.id, seq + 1, payload.len());
                    }
                    if let Some(part) = self.repeat(part) {
                        return Poll::Ready(part);
                    }
                }
                Poll::Ready(Recv::Unsent) => {
                    self.moves += 1;
                    if self.moves > MOST_MOVES {
                        return Poll::Ready(ResponseEvent::Failed(Failure::NoSlaveForTool {
                            name: self.tool.clone(),
                            wanted: self.route.wanted(),
                        }));
                    }
                    metrics::moved();
                    self.call.trace.forwarded_in_vain(Ended::Unanswered("not_sent"));
                    self.lose_home(None);
                }
            }
        }
    }

    /// No slave has the call any more: it looks for one, as long as a lost one is waited for.
    fn lose_home(&mut self, otherwise: Option<ResponseEvent>) {
        let until = self.call.last.min(Instant::now() + self.dispatcher.grace().min(self.call.silence));
        let look = Box::pin(sleep(Duration::ZERO));
        self.at = At::Nowhere(Homeless { until, look, otherwise, avoid: None });
    }

    /// The end of its time in the queue.
    fn waited(&mut self, outcome: Outcome, otherwise: Option<ResponseEvent>) -> Option<ResponseEvent> {
        match outcome {
            Outcome::Sent(slave) => self.at = At::Slave(slave),
            Outcome::NoSlave => self.lose_home(otherwise),
            Outcome::Failed(failure) => return Some(otherwise.unwrap_or(ResponseEvent::Failed(failure))),
        }
        None
    }

    /// One look for a slave. What it returns is the end of the call.
    fn look(&mut self) -> Option<ResponseEvent> {
        if self.is_cancelled() {
            return Some(ResponseEvent::Failed(Failure::Cancelled));
        }
        let At::Nowhere(homeless) = &mut self.at else { return None };
        let (until, avoid, otherwise) = (homeless.until, homeless.avoid, homeless.otherwise.take());
        match self.find_home(avoid) {
            // In this moment: whoever cancelled found it nowhere.
            Ok(at) if self.is_cancelled() => {
                self.leave(at);
                return Some(ResponseEvent::Failed(Failure::Cancelled));
            }
            Ok(At::Queue(waiting, _)) => self.at = At::Queue(waiting, otherwise),
            Ok(at) => self.at = at,
            Err(failure) if Instant::now() >= until => {
                return Some(otherwise.unwrap_or(ResponseEvent::Failed(failure)));
            }
            Err(_) => {
                self.at = At::Nowhere(Homeless { until, look: Box::pin(sleep(LOOK)), otherwise, avoid });
            }
        }
        None
    }

    /// Whether a legacy client has cancelled it. A slave that has the call is told by itself.
    fn is_cancelled(&self) -> bool {
        let named = self.caller.named.as_ref();
        named.is_some_and(|named| self.dispatcher.lobby().was_cancelled(named, self.began))
    }

    /// Takes the cancelled call back from where it has just come.
    fn leave(&self, at: At) {
        if let (At::Queue(..), Some((session, id))) = (&at, &self.caller.named) {
            self.dispatcher.lobby().cancel(session, id);
        }
        if let At::Slave(slave) = at {
            self.dispatcher.judge_nothing((&self.tool, &self.pool), &slave);
            slave.cancel(self.call.id);
        }
    }

    /// Where the call may and should be run again, it looks for a slave; else the part is for the client.
    fn repeat(&mut self, part: ResponseEvent) -> Option<ResponseEvent> {
        if self.repeats == 0 {
            return Some(part);
        }
        let At::Slave(slave) = &self.at else { return Some(part) };
        let (now, slave) = (Instant::now(), Arc::clone(slave));
        let Some(reason) = repeat::reason(&part).filter(|_| now < self.call.last) else {
            if matches!(part, ResponseEvent::End { .. }) {
                self.repeats = 0;
            }
            return Some(part);
        };
        self.repeats -= 1;
        self.dispatcher.judge(&part, (&self.tool, &self.pool), &slave);
        metrics::repeated(reason);
        self.call.trace.forwarded_in_vain(Ended::of(&part));
        let tool = self.tool.as_str();
        tracing::info!(
            tool,
            slave = slave.name,
            reason,
            "Call is run again, as its tool allows (id: {})",
            self.call.id
        );
        let until = self.call.last.min(now + repeat::WAIT);
        // Where there is but one slave, it is about to say that the tool is gone; then it is waited for.
        let look = Box::pin(sleep(LOOK));
        self.at =
            At::Nowhere(Homeless { until, look, otherwise: Some(part), avoid: Some(slave.host_slot()) });
        None
    }

    /// No slave has the call: another takes it, under a new name, so that nothing can mix the two up. It goes by the same
    /// rule, among the slaves of now.
    fn find_home(&mut self, avoid: Option<u64>) -> Result<At, Failure> {
        let pool = self.dispatcher.pool(&self.tool)?;
        self.call.id = self.dispatcher.next_id();
        self.watched.renamed(|| self.call.subject().request());
        let _entered = self.call.subject().enter();
        let now = Instant::now();
        self.route = pool.routes.again(&self.route);
        let aim = Aim { pool: &pool, route: &self.route, avoid, caller: &self.caller };
        match self.dispatcher.send(&aim, (&self.call, &self.tool), &self.slot, now) {
            Ok(slave) => Ok(At::Slave(slave)),
            Err(Unsent::Full(reason)) => {
                let waiting = self.dispatcher.wait(&aim, (&self.call, &self.tool), &self.slot, reason)?;
                Ok(At::Queue(waiting, None))
            }
            Err(Unsent::Failed(failure)) => Err(failure),
        }
    }

    fn end(&self, Ending { outcome, ended, answered }: Ending) {
        self.call.trace.ended(outcome, ended);
        self.pool.meter.ended((outcome, ended), self.version, self.began.elapsed().as_secs_f64());
        self.watched.ended(outcome);
        let slave = if let At::Slave(slave) = &self.at {
            slave.meter.ended(outcome);
            slave.name.as_str()
        } else {
            ""
        };
        let id = self.call.id;
        if answered {
            tracing::debug!(slave, "Received response from slave (id: {id})");
            tracing::debug!(outcome, "Response forwarded to client (id: {id})");
        } else {
            tracing::debug!(slave, outcome, "Call ended without a response (id: {id})");
        }
    }
}

impl Drop for CallStream {
    fn drop(&mut self) {
        let _entered = self.subject().map(LogContext::enter);
        let State::Open(open) = &mut self.state else { return };
        let at = match &mut open.at {
            At::Slave(slave) => Some(Arc::clone(slave)),
            At::Queue(waiting, _) => {
                waiting.close();
                match waiting.try_recv() {
                    Ok(Outcome::Sent(slave)) => Some(slave),
                    Ok(Outcome::NoSlave | Outcome::Failed(_)) | Err(_) => None,
                }
            }
            At::Nowhere(_) => None,
        };
        if let Some(slave) = &at {
            open.dispatcher.judge_nothing((&open.tool, &open.pool), slave);
            release(slave, &open.call);
        }
        open.end(Ending::left(match (open.call.era, at) {
            // One that never ran does not run on.
            (Era::Modern, _) | (Era::Legacy, None) => "cancelled",
            (Era::Legacy, Some(_)) => "abandoned",
        }));
    }
}
