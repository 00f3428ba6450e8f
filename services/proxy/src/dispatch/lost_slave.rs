//! What becomes of a call whose slave is probably dead: it waits for the slave, or runs again elsewhere where its tool allows that.
//! Must not know links.

use std::sync::Arc;
use std::time::Instant;

use protocol::link::call::ResponseEvent;
use protocol::mcp::failure::Failure;

use super::ongoing::OngoingCall;
use crate::links::Slave;

impl OngoingCall {
    /// Runs the call again on another slave, if its tool allows it and another slave can take it; else the call goes on waiting
    /// for its slave. Returns the event that ends the call, if it does.
    pub(super) fn leave_lost_slave(&mut self) -> Option<ResponseEvent> {
        let slave = self.machine.slave().filter(|slave| !slave.is_linked()).map(Arc::clone)?;
        if !self.machine.may_retry() || Instant::now() >= self.call.last || !self.has_other_slave(&slave) {
            return None;
        }
        // Where the slave lives after all, it is told to stop what nobody waits for.
        slave.cancel(self.call.id);
        self.deliver_or_retry(ResponseEvent::Failed(Failure::OutcomeUnknown))
    }

    /// Returns whether a slave in another host slot takes calls of the tool by the call's rule.
    fn has_other_slave(&self, lost: &Slave) -> bool {
        let Some(candidates) = self.forwarder.candidates(&self.tool, &self.pool, &self.route) else {
            return false;
        };
        let mut slaves = candidates.route.slaves();
        slaves.any(|slave| slave.host_slot() != lost.host_slot() && slave.accepts_calls())
    }
}
