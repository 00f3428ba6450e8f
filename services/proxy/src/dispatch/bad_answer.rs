//! The end of a call whose slave sent what the call may not have. Must not know what is checked.

use std::time::Instant;

use protocol::link::call::ResponseEvent;
use protocol::mcp::call_message::MessageFault;
use protocol::mcp::failure::Failure;

use super::ongoing::OngoingCall;

impl OngoingCall {
    /// Ends a call whose slave sent something that the call may not have; the slave is told to stop the call.
    pub(super) fn on_bad_answer(&self, fault: MessageFault) -> ResponseEvent {
        if let Some(slave) = self.machine.slave() {
            slave.cancel(self.call.id);
            slave.record_bad_answer(fault.as_str(), Instant::now());
        }
        ResponseEvent::Failed(Failure::BadAnswer(fault.to_string()))
    }
}
