//! What backends write into the journals of their calls: events and ends.

use bytes::Bytes;

use super::call::Stage;
use super::event::{SlaveEvent, WriteOutcome};
use super::state::SlaveEnd;
use crate::link::frame::{Flags, FrameKind};
use crate::link::ids::CallId;
use crate::link::journal::MessageHeader;
use crate::mcp::failure::Failure;

impl SlaveEnd {
    /// Writes one event of a call (a whole JSON-RPC message, no newlines). `request`: it wants a reply.
    pub fn event(&mut self, id: CallId, message: Bytes, request: Flags) -> WriteOutcome {
        let call = match self.calls.get_mut(&id) {
            Some(call) if call.stage == Stage::Running => call,
            Some(call) if call.stage == Stage::Unheard => return WriteOutcome::More,
            _ => return WriteOutcome::Gone,
        };
        if self.journal_bytes + message.len() > self.limits.journal {
            self.fail(id, &self.journal_full());
            self.events.push_back(SlaveEvent::Stop { call: id });
            return WriteOutcome::Gone;
        }
        self.journal_bytes += message.len();
        call.down.write(MessageHeader { kind: FrameKind::Event, flags: request, aux: 0 }, message);
        call.waiting = call.down.bytes() > call.room();
        let wrote = if call.waiting { WriteOutcome::Wait } else { WriteOutcome::More };
        self.queue(id);
        wrote
    }

    /// Ends a call with a result or, flagged [`Flags::ERROR`], an error object. `status` is an HTTP status hint.
    /// [`WriteOutcome::Gone`]: nobody is there who will ask for it, and the call is forgotten.
    pub fn end(&mut self, id: CallId, payload: Bytes, flags: Flags, status: u16) -> WriteOutcome {
        let call = match self.calls.get_mut(&id) {
            Some(call) if call.stage == Stage::Running => call,
            Some(call) if call.stage == Stage::Unheard => {
                call.stage = Stage::Ended;
                self.stop(id);
                return WriteOutcome::Gone;
            }
            _ => return WriteOutcome::Gone,
        };
        if self.journal_bytes + payload.len() > self.limits.journal {
            self.fail(id, &self.journal_full());
            return WriteOutcome::More;
        }
        call.stage = Stage::Ended;
        self.journal_bytes += payload.len();
        call.down.write(MessageHeader { kind: FrameKind::End, flags, aux: status }, payload);
        self.queue(id);
        WriteOutcome::More
    }

    fn journal_full(&self) -> Failure {
        let limit = self.limits.journal;
        Failure::ResultTooLarge(format!("the slave's journal is full ({limit} bytes, SLAVE_JOURNAL_BYTES)"))
    }

    /// Ends a call with an error of ours, in place of the messages that were not begun to be sent.
    pub(super) fn fail(&mut self, id: CallId, failure: &Failure) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let object = Bytes::from(failure.error_object());
        self.journal_bytes -= call.down.drop_unsent_messages();
        self.journal_bytes += object.len();
        call.stage = Stage::Ended;
        call.down.write(MessageHeader { kind: FrameKind::End, flags: Flags::ERROR, aux: 0 }, object);
        self.queue(id);
    }
}
