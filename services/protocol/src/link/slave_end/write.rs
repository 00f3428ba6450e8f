//! Writing: events and ends of backends, into the journals of their calls. Must not know links.

use bytes::Bytes;

use super::call::CallState;
use super::event::WriteOutcome;
use super::state::SlaveEnd;
use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::CallId;
use crate::link::journal::MessageHeader;
use crate::mcp::era::Era;
use crate::mcp::failure::Failure;

impl SlaveEnd {
    /// Writes one event of a call: a whole JSON-RPC message without line breaks. `flags`: [`Flags::REQUEST`] for a request.
    /// An event that does not fit the journal ends the call with a failure.
    pub fn event(&mut self, id: CallId, message: Bytes, flags: Flags) -> WriteOutcome {
        match self.calls.get(&id).map(|call| call.state) {
            Some(CallState::Running) => {}
            Some(CallState::NoReader) => return WriteOutcome::More,
            _ => return WriteOutcome::Gone,
        }
        if !self.make_room(id, message.len()) {
            self.fail(id, &self.journal_full());
            self.stop(id);
            return WriteOutcome::Gone;
        }
        let Some(call) = self.calls.get_mut(&id) else { return WriteOutcome::Gone };
        self.journal_bytes += message.len();
        call.response.write(MessageHeader { kind: FrameKind::Event, flags, aux: 0 }, message);
        call.producer_waits = call.is_full();
        let outcome = if call.producer_waits { WriteOutcome::Wait } else { WriteOutcome::More };
        self.enqueue(id);
        outcome
    }

    /// Tells the reader of a running call that its backend shows life, without an event: `accepted` is sent again, which
    /// starts the proxy's silence timeout anew. Sends nothing while no link reads the call.
    pub fn alive(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.state == CallState::Running) else {
            return;
        };
        let frame = Frame::bare(FrameKind::Accepted, id, call.request.next());
        if let Some(link) = call.link {
            call.accepted = true;
            self.enqueue_control(link, frame);
        }
    }

    /// Ends a call with a result or, with [`Flags::ERROR`], an error object. `status` is an HTTP status hint, 0 for none.
    /// [`WriteOutcome::Gone`]: nobody will ask for the end, and the call is forgotten. An end that does not fit the journal is
    /// replaced by a failure. The owner ends each call that was started once, also one that it was told to stop.
    pub fn end(&mut self, id: CallId, payload: Bytes, flags: Flags, status: u16) -> WriteOutcome {
        if self.stopping.remove(&id) {
            return WriteOutcome::Gone;
        }
        match self.calls.get_mut(&id) {
            Some(call) if call.state == CallState::Running => {}
            Some(call) if call.state == CallState::NoReader => {
                call.state = CallState::Ended;
                self.remove(id);
                return WriteOutcome::Gone;
            }
            _ => return WriteOutcome::Gone,
        }
        if !self.make_room(id, payload.len()) {
            self.fail(id, &self.journal_full());
            return WriteOutcome::More;
        }
        let Some(call) = self.calls.get_mut(&id) else { return WriteOutcome::Gone };
        call.state = CallState::Ended;
        self.journal_bytes += payload.len();
        call.response.write(MessageHeader { kind: FrameKind::End, flags, aux: status }, payload);
        self.enqueue(id);
        WriteOutcome::More
    }

    fn journal_full(&self) -> Failure {
        let limit = self.limits.journal;
        Failure::ResultTooLarge(format!("the slave's journal is full ({limit} bytes, SLAVE_JOURNAL_BYTES)"))
    }

    /// Ends a call with a failure, in place of the messages of which nothing was sent.
    pub(super) fn fail(&mut self, id: CallId, failure: &Failure) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        // Its code is the same for clients of both eras.
        let object = Bytes::from(failure.error_object(Era::Legacy));
        self.journal_bytes -= call.response.drop_unsent_messages();
        self.journal_bytes += object.len();
        call.state = CallState::Ended;
        call.response.write(MessageHeader { kind: FrameKind::End, flags: Flags::ERROR, aux: 0 }, object);
        self.enqueue(id);
    }
}
