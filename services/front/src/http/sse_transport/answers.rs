//! The answers of one stream of 2024-11-05 that are under way: the events of its calls, one whole message after the other. Must not know
//! requests.

use std::collections::VecDeque;
use std::sync::Weak;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use protocol::mcp::era::Era;

use super::requests::Answered;
use crate::calls::Calls;
use crate::edge::Edge;
use crate::http::framing::Framing;
use crate::http::response_stream::{BodyAborted, Entry, ResponseStream};
use crate::usage::StreamShare;

/// Interval of the comments of a single call: the stream has its own.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// Calls of one stream that run at a time. Further requests wait.
const MAX_RUNNING: usize = 64;

/// Line before the data of a message.
const MESSAGE_EVENT: &[u8] = b"event: message\n";

/// A call whose answer is not complete.
struct Running<S> {
    /// Id of the request, as raw JSON.
    id: Box<str>,
    body: ResponseStream<S>,
}

/// The answers of a session's stream. Dropping them cancels the calls: nobody can read what they bring.
pub(super) struct Answers<C: Calls> {
    edge: Weak<Edge<C>>,
    /// Key of the session.
    session: String,
    running: Vec<Running<C::Stream>>,
    /// The call in the middle of whose message the stream is.
    current: Option<usize>,
    /// The call that is asked first.
    next: usize,
    out: VecDeque<Bytes>,
}

impl<C: Calls> Answers<C> {
    pub(super) fn new(edge: Weak<Edge<C>>, session: String) -> Self {
        Self { edge, session, running: Vec::new(), current: None, next: 0, out: VecDeque::new() }
    }

    /// Takes bytes that are ready.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.out.is_empty()
    }

    /// Whether another request may begin.
    pub(super) fn has_room(&self) -> bool {
        self.running.len() < MAX_RUNNING
    }

    /// Whether the last bytes were a part of a message: nothing else may be written now.
    pub(super) fn is_within_message(&self) -> bool {
        self.current.is_some()
    }

    /// Adds an answer.
    pub(super) fn add(&mut self, answered: Answered<C::Stream>) {
        match answered {
            Answered::Nothing => {}
            Answered::Response(response) | Answered::Initialized { response, .. } => {
                self.out.push_back(Bytes::from_static(MESSAGE_EVENT));
                self.out.push_back(crate::http::listen::event(&single_line(&response.into_bytes())));
            }
            Answered::Call { id, stream, share } => self.begin(id, stream, share),
        }
    }

    fn begin(&mut self, id: Box<str>, stream: C::Stream, share: StreamShare) {
        let (first, arrived) = (None, VecDeque::new());
        let entry = Entry::Call { id: id.clone(), era: Era::Legacy, first, arrived, stream };
        let mut body = ResponseStream::new(Framing::events(NEVER), [entry].into());
        body.keep(share);
        self.running.push(Running { id, body });
    }

    /// Polls for bytes of any call; within a message, of that call alone. Afterwards there may be bytes to [`Self::pop`]. An error: a
    /// message broke off.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyAborted>> {
        if let Some(at) = self.current {
            return self.poll_one(at, cx);
        }
        let count = self.running.len();
        for step in 0..count {
            let at = (self.next + step) % count;
            if let Poll::Ready(polled) = self.poll_one(at, cx) {
                self.next = at + 1;
                return Poll::Ready(polled);
            }
        }
        Poll::Pending
    }

    fn poll_one(&mut self, at: usize, cx: &mut Context<'_>) -> Poll<Result<(), BodyAborted>> {
        let Some(Running { body, .. }) = self.running.get_mut(at) else { return Poll::Pending };
        let is_new = self.current.is_none();
        Poll::Ready(match std::task::ready!(body.poll_next(cx)) {
            None => {
                self.running.swap_remove(at);
                self.current = None;
                Ok(())
            }
            Some(Err(aborted)) => Err(aborted),
            Some(Ok(bytes)) => {
                self.current = body.is_within_message().then_some(at);
                if is_new && bytes.starts_with(b"data: ") {
                    self.out.push_back(Bytes::from_static(MESSAGE_EVENT));
                }
                self.out.push_back(bytes);
                Ok(())
            }
        })
    }
}

impl<C: Calls> Drop for Answers<C> {
    fn drop(&mut self) {
        let Some(edge) = self.edge.upgrade() else { return };
        for Running { id, .. } in &self.running {
            edge.calls.cancel(&self.session, id, None);
        }
    }
}

/// Returns a message without line breaks, which JSON has between tokens only.
fn single_line(json: &Bytes) -> Vec<u8> {
    json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}
