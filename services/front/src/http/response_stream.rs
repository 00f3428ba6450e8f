//! Answers as they come: pieces of calls between the brackets of their form. Must not know headers or eras.
//!
//! Nothing is taken from a call before the client takes what was there: at most one part is held.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use protocol::link::call::ResponseEvent;
use protocol::mcp::failure::Failure;
use tokio::time::{Instant, Sleep, sleep};

use super::response_body::BodyAborted;
use crate::jsonrpc::{Member, Segments, error_response, open_response};

/// Silence after which a stream sends a comment, so that nothing on the way takes it for dead.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// What a client of 2025-11-25 waits before it comes back, in milliseconds.
const RETRY_MS: u32 = 1000;

/// What stands around and between the answers.
#[derive(Debug)]
pub(crate) enum Framing {
    /// One JSON message.
    Message,
    /// A JSON array of messages; how many were begun.
    Array(usize),
    /// Server-sent events.
    Events(KeepAlive),
}

/// What a stream of events needs besides its messages.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    sleep: Pin<Box<Sleep>>,
    /// Names the call in event ids.
    token: Option<String>,
}

impl Framing {
    /// Events without ids, or with ids that name the call by this token.
    pub(crate) fn events(token: Option<String>) -> Self {
        Self::Events(KeepAlive { sleep: Box::pin(sleep(KEEPALIVE_INTERVAL)), token })
    }
}

/// One answer of a body.
pub(crate) enum Entry<S> {
    /// It is there: a whole message.
    Ready(Segments),
    /// It comes from a call: id (raw JSON), a part that was taken already, and the rest.
    Call(Box<str>, Option<ResponseEvent>, S),
}

/// Where in a message the body stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Between,
    Within,
    Over,
}

/// A body of answers, one after the other.
pub struct ResponseStream<S> {
    form: Framing,
    queue: VecDeque<Entry<S>>,
    out: Segments,
    place: Position,
}

impl<S: Stream<Item = ResponseEvent> + Unpin> ResponseStream<S> {
    /// A body in this form. Events with ids begin with the priming event of 2025-11-25.
    pub(crate) fn new(form: Framing, queue: VecDeque<Entry<S>>) -> Self {
        let priming = match &form {
            Framing::Events(KeepAlive { token: Some(token), .. }) => {
                format!("id: {token}-0\nretry: {RETRY_MS}\ndata: \n\n").into()
            }
            _ => Bytes::new(),
        };
        Self { form, queue, out: Segments::one(priming), place: Position::Between }
    }

    /// The next bytes, or the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyAborted>>> {
        loop {
            if let Some(bytes) = self.out.pop() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if self.place == Position::Over {
                return Poll::Ready(None);
            }
            if let Err(truncate) = ready!(self.poll_step(cx)) {
                self.place = Position::Over;
                self.queue.clear();
                return Poll::Ready(Some(Err(truncate)));
            }
        }
    }

    /// Fills `out`, or moves on.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyAborted>> {
        let part = match self.queue.front_mut() {
            None => {
                self.finish();
                return Poll::Ready(Ok(()));
            }
            Some(Entry::Ready(_)) => {
                self.whole();
                return Poll::Ready(Ok(()));
            }
            Some(Entry::Call(_, first, stream)) => match first.take() {
                Some(part) => part,
                None => match stream.poll_next_unpin(cx) {
                    // A call that ends without a last part broke its promise.
                    Poll::Ready(part) => part.unwrap_or(ResponseEvent::Failed(Failure::Internal)),
                    Poll::Pending => return self.poll_beat(cx),
                },
            },
        };
        Poll::Ready(self.take(part))
    }

    fn take(&mut self, part: ResponseEvent) -> Result<(), BodyAborted> {
        if let Framing::Events(beat) = &mut self.form {
            beat.sleep.as_mut().reset(Instant::now() + KEEPALIVE_INTERVAL);
        }
        match part {
            ResponseEvent::Event { seq, more, payload, .. } => {
                self.event(seq, more, payload);
                Ok(())
            }
            ResponseEvent::End { seq, more, error, payload, .. } => {
                let member = if error { Member::Error } else { Member::Result };
                self.end(seq, more, member, payload);
                Ok(())
            }
            ResponseEvent::Failed(_) if self.place == Position::Within => Err(BodyAborted),
            ResponseEvent::Failed(failure) => {
                let Some(Entry::Call(id, ..)) = self.queue.front() else { return Ok(()) };
                let message = error_response(Some(id.as_bytes()), &failure);
                if let Some(front) = self.queue.front_mut() {
                    *front = Entry::Ready(message);
                }
                Ok(())
            }
        }
    }

    /// A piece of a notification: of use only to a client that takes events.
    fn event(&mut self, seq: u64, more: bool, payload: Bytes) {
        let Framing::Events(beat) = &self.form else { return };
        let head: &[u8] = if self.place == Position::Between { b"data: " } else { b"" };
        let tail = if more { String::new() } else { beat.event_end(seq) };
        self.out = Segments::joined(head.to_vec(), one_line(payload), tail.as_bytes());
        self.place = if more { Position::Within } else { Position::Between };
    }

    /// A piece of the result.
    fn end(&mut self, seq: u64, more: bool, member: Member, payload: Bytes) {
        let mut head = Vec::new();
        if self.place == Position::Between {
            self.separate(&mut head);
            if let Some(Entry::Call(id, ..)) = self.queue.front() {
                open_response(&mut head, id.as_bytes(), member);
            }
        }
        let mut tail = String::new();
        if !more {
            tail.push('}');
            self.queue.pop_front();
        }
        let mut payload = payload;
        if let Framing::Events(beat) = &self.form {
            payload = one_line(payload);
            if !more {
                tail.push_str(&beat.event_end(seq));
            }
        }
        self.out = Segments::joined(head, payload, tail.as_bytes());
        self.place = if more { Position::Within } else { Position::Between };
    }

    /// The message at the front of the queue, which is whole.
    fn whole(&mut self) {
        let Some(Entry::Ready(message)) = self.queue.pop_front() else { return };
        let mut head = Vec::new();
        self.separate(&mut head);
        let tail: &[u8] = if matches!(self.form, Framing::Events(_)) { b"\n\n" } else { b"" };
        self.out = Segments::joined(head, one_line(message.into_bytes()), tail);
    }

    /// What stands before a response.
    fn separate(&mut self, head: &mut Vec<u8>) {
        match &mut self.form {
            Framing::Message => {}
            Framing::Events(_) => head.extend_from_slice(b"data: "),
            Framing::Array(begun) => {
                head.push(if *begun == 0 { b'[' } else { b',' });
                *begun += 1;
            }
        }
    }

    fn finish(&mut self) {
        if matches!(self.form, Framing::Array(_)) {
            self.out = Segments::one(Bytes::from_static(b"]"));
        }
        self.place = Position::Over;
    }

    /// Between messages a comment may be sent; within one it would be taken for data.
    fn poll_beat(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyAborted>> {
        let Framing::Events(beat) = &mut self.form else { return Poll::Pending };
        if self.place != Position::Between {
            return Poll::Pending;
        }
        ready!(beat.sleep.as_mut().poll(cx));
        beat.sleep.as_mut().reset(Instant::now() + KEEPALIVE_INTERVAL);
        self.out = Segments::one(Bytes::from_static(b":\n\n"));
        Poll::Ready(Ok(()))
    }
}

impl KeepAlive {
    /// What ends an event whose last chunk has this number: its id says from where to read on.
    fn event_end(&self, seq: u64) -> String {
        match &self.token {
            Some(token) => format!("\nid: {token}-{}\n\n", seq + 1),
            None => "\n\n".to_owned(),
        }
    }
}

/// Data of one event is one line. In JSON a line break stands only between tokens, where a blank does as well.
pub(crate) fn one_line(json: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &json).is_none() {
        return json;
    }
    json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}
