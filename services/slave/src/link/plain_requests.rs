//! The table of one plain proxy's requests: those that run, and the answers that wait for a link. Must not know sockets, tasks or
//! the clock.
//!
//! The existing proxy remembers a request for five minutes, whatever becomes of its slave's link, and takes the answer on the next link.
//! It gives requests its clients' ids: where an id comes again, whoever waited for the first answer waits in vain, and an answer to the
//! first request would be given to the second client. Such an answer is dropped.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;

/// Largest number of requests that run or whose answers wait; the dialect itself has no limit.
pub(super) const MAX_REQUESTS: usize = 1024;

/// Largest number of answers that wait, refusals of requests that were too many among them.
const MAX_ANSWERS: usize = 2 * MAX_REQUESTS;

/// Time after which the existing proxy gives a request up.
const PROXY_TIMEOUT: Duration = Duration::from_mins(5);

/// Number of a request in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ticket(u64);

/// A request that was not answered, or its answer.
#[derive(Debug)]
struct Request {
    /// Its id, as raw JSON; `null` if it cannot be read.
    id: Box<str>,
    /// When the proxy gives it up.
    until: Instant,
}

/// An answer that waits.
#[derive(Debug)]
struct Answer {
    ticket: Ticket,
    request: Request,
    text: Bytes,
}

/// The requests of one proxy.
#[derive(Debug)]
pub(super) struct RequestTable {
    /// Requests that run. `None`: the answer is not wanted any more.
    running: HashMap<Ticket, Option<Request>>,
    answers: VecDeque<Answer>,
    /// The newest request with each id.
    by_id: HashMap<Box<str>, Ticket>,
    last: u64,
    linked: bool,
    /// Largest sum of the answers that wait while no link is up, in bytes.
    max_bytes: usize,
}

/// What a new request means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It is to be run.
    Run(Ticket),
    /// It is to be run; an earlier one of the same id was not answered, and its answer is dropped.
    RunInstead(Ticket),
    /// Too many run already.
    Full,
}

impl RequestTable {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            running: HashMap::new(),
            answers: VecDeque::new(),
            by_id: HashMap::new(),
            last: 0,
            linked: false,
            max_bytes,
        }
    }

    /// Returns the number of requests that run or whose answers wait.
    pub(super) fn len(&self) -> usize {
        self.running.len() + self.answers.len()
    }

    /// Adds a request with this id (raw JSON; `null` if it cannot be read).
    pub(super) fn begin(&mut self, id: &str, now: Instant) -> Begun {
        let before = self.by_id.get(id).copied();
        if let Some(before) = before {
            self.drop_answer(before);
        }
        if self.len() >= MAX_REQUESTS {
            return Begun::Full;
        }
        self.last += 1;
        let ticket = Ticket(self.last);
        self.running.insert(ticket, Some(Request { id: id.into(), until: now + PROXY_TIMEOUT }));
        if id != "null" {
            self.by_id.insert(id.into(), ticket);
        }
        if before.is_some() { Begun::RunInstead(ticket) } else { Begun::Run(ticket) }
    }

    /// Makes sure that a request is not answered any more.
    fn drop_answer(&mut self, ticket: Ticket) {
        let running = self.running.get_mut(&ticket).and_then(Option::take);
        let at = self.answers.iter().position(|answer| answer.ticket == ticket);
        let waiting = at.and_then(|at| self.answers.remove(at)).map(|answer| answer.request);
        if let Some(request) = running.or(waiting) {
            self.forget_id(ticket, &request);
        }
    }

    fn forget_id(&mut self, ticket: Ticket, request: &Request) {
        if self.by_id.get(&request.id) == Some(&ticket) {
            self.by_id.remove(&request.id);
        }
    }

    /// Ends a request. `None`: its task failed.
    pub(super) fn end(&mut self, ticket: Ticket, text: Option<Bytes>) {
        let Some(Some(request)) = self.running.remove(&ticket) else { return };
        let text = text.unwrap_or_else(|| error(&request.id, &Failure::Internal));
        self.answers.push_back(Answer { ticket, request, text });
        if !self.linked {
            self.bound();
        }
    }

    /// Answers a request that is not run, unless the proxy makes many requests and takes no answers.
    pub(super) fn refuse(&mut self, id: &str, failure: &Failure, now: Instant) {
        if self.answers.len() >= MAX_ANSWERS {
            return;
        }
        self.last += 1;
        let request = Request { id: id.into(), until: now + PROXY_TIMEOUT };
        let text = error(id, failure);
        self.answers.push_back(Answer { ticket: Ticket(self.last), request, text });
    }

    /// Replaces the answers that are too much to be kept, the latest first, by errors that say so.
    fn bound(&mut self) {
        let mut bytes = 0_usize;
        for answer in &mut self.answers {
            let with = bytes.saturating_add(answer.text.len());
            if with > self.max_bytes {
                let why = "the link to the proxy broke, and the answer was too long to be kept (SLAVE_JOURNAL_BYTES)";
                answer.text = error(&answer.request.id, &Failure::ResultTooLarge(why.into()));
            } else {
                bytes = with;
            }
        }
    }

    /// Records that a link is up: answers are sent.
    pub(super) fn link_up(&mut self, now: Instant) {
        self.expire(now);
        self.linked = true;
    }

    /// Records that no link is up: answers wait for the next one.
    pub(super) fn link_down(&mut self) {
        self.linked = false;
        self.bound();
    }

    /// Drops all answers, those of running requests too: other slaves have taken the proxy's requests since.
    pub(super) fn drop_all(&mut self) {
        self.answers.clear();
        self.by_id.clear();
        self.running.values_mut().for_each(|request| *request = None);
    }

    /// Answers all running requests with an error: they are given up.
    pub(super) fn give_up(&mut self, failure: &Failure) {
        for (ticket, request) in self.running.drain() {
            if let Some(request) = request {
                let text = error(&request.id, failure);
                self.answers.push_back(Answer { ticket, request, text });
            }
        }
    }

    /// Takes the next answer to be sent.
    pub(super) fn next_answer(&mut self) -> Option<Bytes> {
        let answer = self.answers.pop_front()?;
        self.forget_id(answer.ticket, &answer.request);
        Some(answer.text)
    }

    /// Returns whether an answer waits to be sent.
    pub(super) fn has_answer(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Drops the answers that the proxy does not wait for any more.
    pub(super) fn expire(&mut self, now: Instant) {
        let waiting = self.answers.iter().map(|answer| (answer.ticket, answer.request.until));
        let running =
            self.running.iter().filter_map(|(ticket, request)| Some((*ticket, request.as_ref()?.until)));
        let over: Vec<Ticket> =
            waiting.chain(running).filter(|(_, until)| *until <= now).map(|(ticket, _)| ticket).collect();
        for ticket in over {
            self.drop_answer(ticket);
        }
    }

    /// Returns when the next answer expires. `None`: none waits, or a link is up.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let waiting = self.answers.iter().map(|answer| answer.request.until);
        let running = self.running.values().flatten().map(|request| request.until);
        waiting.chain(running).min().filter(|_| !self.linked)
    }
}

/// Builds a response that says that a request failed. `id` is raw JSON.
fn error(id: &str, failure: &Failure) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{}}}"#, failure.error_object(Era::Legacy)))
}

#[cfg(test)]
mod tests;
