//! A response body made of messages that arrive one after the other, framed as JSON or as server-sent events.
//!
//! The next event of a call is read only after the client has read the last one: at most one event is in memory. Must
//! not know headers or eras.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use protocol::link::call::ResponseEvent;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;

use super::cancelled::is_unanswered;
use super::event_ids::EventIds;
use super::framing::Framing;
use crate::jsonrpc::{Member, Segments, error_response, open_response};
use crate::usage::StreamShare;

/// Error of a body whose message broke off after part of it was sent. The connection is closed without a proper end,
/// so that the client does not take half a message for a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call broke off in the middle of its result")]
pub struct BodyAborted;

/// Source of one message of a body.
pub(crate) enum Entry<S> {
    /// Complete message.
    Ready(Segments),
    /// Response that a call delivers in pieces, after its notifications.
    Call {
        /// Id of the request, as raw JSON.
        id: Box<str>,
        /// Era of the client.
        era: Era,
        /// First event, if it was read from the stream already.
        first: Option<ResponseEvent>,
        /// Events after it that were read already.
        arrived: VecDeque<ResponseEvent>,
        /// Events that follow.
        stream: S,
    },
}

impl<S> Entry<S> {
    /// Makes a call an error response, which drops its stream.
    fn fail(&mut self, failure: &Failure) {
        if let Self::Call { id, era, .. } = self {
            *self = Self::Ready(error_response(Some(id.as_bytes()), failure, *era));
        }
    }
}

/// State of the output between two writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    BetweenMessages,
    WithinMessage,
    /// A message broke off: the body ends with an error.
    Broken,
    Finished,
}

/// Body that writes its entries in order. Dropping the body drops the streams of all calls in it.
pub struct ResponseStream<S> {
    framing: Framing,
    queue: VecDeque<Entry<S>>,
    out: Segments,
    position: Position,
    /// The client's share of open streams, returned with the body.
    share: Option<StreamShare>,
    /// Ids of the events, where the client may come back to the call.
    ids: Option<EventIds>,
}

impl<S> ResponseStream<S> {
    /// Gives the events ids.
    pub(crate) fn number(&mut self, ids: Option<EventIds>) {
        self.ids = ids;
    }

    /// Keeps the client's share of open streams as long as the body.
    pub(crate) fn keep(&mut self, share: StreamShare) {
        self.share = Some(share);
    }
}

impl<S: Stream<Item = ResponseEvent> + Unpin> ResponseStream<S> {
    /// Creates a body of these entries.
    pub(crate) fn new(framing: Framing, queue: VecDeque<Entry<S>>) -> Self {
        Self {
            framing,
            queue,
            out: Segments::default(),
            position: Position::BetweenMessages,
            share: None,
            ids: None,
        }
    }

    /// Returns whether the last bytes were a part of a message that is not complete.
    pub(crate) fn is_within_message(&self) -> bool {
        self.position == Position::WithinMessage || !self.out.is_empty()
    }

    /// Returns the next bytes, `None` at the end, or the error after which nothing follows.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyAborted>>> {
        loop {
            if let Some(bytes) = self.out.pop() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            match self.position {
                Position::Finished => return Poll::Ready(None),
                Position::Broken => {
                    self.position = Position::Finished;
                    return Poll::Ready(Some(Err(BodyAborted)));
                }
                Position::BetweenMessages | Position::WithinMessage => {}
            }
            if let Err(aborted) = ready!(self.poll_entry(cx)) {
                self.position = Position::Finished;
                self.queue.clear();
                return Poll::Ready(Some(Err(aborted)));
            }
        }
    }

    /// Advances the entry at the front of the queue. Afterwards there may be bytes in `out`.
    fn poll_entry(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyAborted>> {
        if self.write_priming() {
            return Poll::Ready(Ok(()));
        }
        let event = match self.queue.front_mut() {
            None => {
                self.finish();
                return Poll::Ready(Ok(()));
            }
            Some(Entry::Ready(_)) => {
                self.write_ready();
                return Poll::Ready(Ok(()));
            }
            Some(Entry::Call { first, arrived, stream, .. }) => {
                match first.take().or_else(|| arrived.pop_front()) {
                    Some(event) => event,
                    None => match stream.poll_next_unpin(cx) {
                        // A stream that ends without a last event is a fault of its producer.
                        Poll::Ready(event) => event.unwrap_or(ResponseEvent::Failed(Failure::Internal)),
                        // Polling may have sent the call.
                        Poll::Pending if self.write_priming() => return Poll::Ready(Ok(())),
                        Poll::Pending => return self.poll_keepalive(cx),
                    },
                }
            }
        };
        Poll::Ready(self.on_event(event))
    }

    fn on_event(&mut self, event: ResponseEvent) -> Result<(), BodyAborted> {
        if let Framing::Events(keepalive) = &mut self.framing {
            keepalive.reset();
        }
        if self.position == Position::BetweenMessages && self.is_unanswered(&event) {
            self.queue.pop_front();
            return Ok(());
        }
        match event {
            ResponseEvent::Event { more, payload, .. } => {
                self.write_notification(more, payload);
                Ok(())
            }
            ResponseEvent::End { more, error, payload, .. } => {
                let member = if error { Member::Error } else { Member::Result };
                self.write_end(more, member, payload);
                Ok(())
            }
            ResponseEvent::Failed(_) if self.position == Position::WithinMessage => Err(BodyAborted),
            ResponseEvent::Failed(failure) => {
                self.replace_with_error(&failure);
                Ok(())
            }
        }
    }

    /// Whether this end of the call at the front gets no response.
    fn is_unanswered(&self, event: &ResponseEvent) -> bool {
        matches!(self.queue.front(), Some(Entry::Call { era, .. }) if is_unanswered(*era, event))
    }

    /// Ends all calls with this failure; their streams are dropped. A message that was begun breaks off.
    pub(crate) fn fail_all(&mut self, failure: &Failure) {
        if self.position == Position::WithinMessage {
            self.queue.clear();
            self.out = Segments::default();
            self.position = Position::Broken;
        }
        self.queue.iter_mut().for_each(|entry| entry.fail(failure));
    }

    /// Makes the call at the front an error response.
    fn replace_with_error(&mut self, failure: &Failure) {
        if let Some(front) = self.queue.front_mut() {
            front.fail(failure);
        }
    }

    /// Writes a piece of a notification. Only streams of events carry notifications.
    fn write_notification(&mut self, more: bool, payload: Bytes) {
        if !self.framing.is_events() {
            return;
        }
        let mut head = Vec::new();
        if self.position == Position::BetweenMessages {
            self.write_id(&mut head);
            head.extend_from_slice(b"data: ");
        }
        let tail: &[u8] = if more { b"" } else { b"\n\n" };
        self.out = Segments::joined(head, single_line(payload), tail);
        self.set_position(more);
    }

    /// Writes a piece of the response at the front of the queue.
    fn write_end(&mut self, more: bool, member: Member, payload: Bytes) {
        let mut head = Vec::new();
        if self.position == Position::BetweenMessages {
            self.write_id(&mut head);
            self.begin_message(&mut head);
            if let Some(Entry::Call { id, .. }) = self.queue.front() {
                open_response(&mut head, id.as_bytes(), member);
            }
        }
        let is_events = self.framing.is_events();
        let tail: &[u8] = match (more, is_events) {
            (true, _) => b"",
            (false, false) => b"}",
            (false, true) => b"}\n\n",
        };
        if !more {
            self.queue.pop_front();
        }
        let payload = if is_events { single_line(payload) } else { payload };
        self.out = Segments::joined(head, payload, tail);
        self.set_position(more);
    }

    /// Writes the complete message at the front of the queue.
    fn write_ready(&mut self) {
        let Some(Entry::Ready(message)) = self.queue.pop_front() else { return };
        let mut head = Vec::new();
        self.begin_message(&mut head);
        let tail: &[u8] = if self.framing.is_events() { b"\n\n" } else { b"" };
        self.out = Segments::joined(head, single_line(message.into_bytes()), tail);
    }

    /// Appends what the framing puts before a response.
    fn begin_message(&mut self, head: &mut Vec<u8>) {
        match &mut self.framing {
            Framing::Json => {}
            Framing::Events(_) => head.extend_from_slice(b"data: "),
            Framing::JsonArray { begun } => {
                head.push(if *begun == 0 { b'[' } else { b',' });
                *begun += 1;
            }
        }
    }

    /// Writes the priming event, once it is known where the call runs. Returns whether it did.
    fn write_priming(&mut self) -> bool {
        if self.position != Position::BetweenMessages {
            return false;
        }
        let Some(event) = self.ids.as_mut().and_then(EventIds::priming) else { return false };
        self.out = Segments::one(event);
        true
    }

    /// Appends the id of the event that begins.
    fn write_id(&mut self, head: &mut Vec<u8>) {
        if let Some(ids) = &mut self.ids {
            ids.write_next(head);
        }
    }

    fn set_position(&mut self, more: bool) {
        self.position = if more { Position::WithinMessage } else { Position::BetweenMessages };
    }

    fn finish(&mut self) {
        if let Framing::JsonArray { begun } = self.framing {
            self.out = Segments::one(Bytes::from_static(if begun == 0 { b"[]" } else { b"]" }));
        }
        self.position = Position::Finished;
    }

    /// Sends a comment after a silent interval, between messages only: within a message it would be read as data.
    fn poll_keepalive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyAborted>> {
        let Framing::Events(keepalive) = &mut self.framing else { return Poll::Pending };
        if self.position != Position::BetweenMessages {
            return Poll::Pending;
        }
        ready!(keepalive.poll_due(cx));
        self.out = Segments::one(Bytes::from_static(b":\n\n"));
        Poll::Ready(Ok(()))
    }
}

/// Replaces line breaks by blanks: the data of an event is one line, and JSON has line breaks only between tokens.
fn single_line(json: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &json).is_none() {
        return json;
    }
    json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}
