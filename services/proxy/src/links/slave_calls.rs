//! Messages to a slave: calls, cancellations, acknowledgements, session facts, known proxies, the drain. Must not know sockets.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use link::SHORT_MESSAGE;
use protocol::link::ids::{CallId, Seq};
use protocol::link::proxy_end::{Deadlines, NotLinked};
use protocol::link::session_fact::SessionFact;

use super::call::CallRequest;
use super::response::{ResponseRx, ResponseTx};
use super::slave::{LinkState, Slave};
use crate::balance::{Busy, Permit};

impl Slave {
    /// Acquires a permit for one more call. `None`: the slave accepts no calls at all at present.
    pub(crate) fn try_acquire(&self) -> Option<Result<Permit, Busy>> {
        self.accepts_calls().then(|| self.active.try_acquire())
    }

    /// Sends a call. The answer goes to `response`; the permit is held until the call's end.
    pub(crate) fn open(
        &self,
        call: &CallRequest<'_>,
        permit: Permit,
        response: &Arc<ResponseRx>,
        now: Instant,
    ) -> Result<(), NotLinked> {
        let sink = ResponseTx::new(Arc::clone(response), permit, call.place.cloned());
        let mut link = self.link();
        match &mut *link {
            LinkState::Native(end) => {
                end.open(call.id, call.header, call.message.clone(), sink)?;
                end.set_deadline(
                    call.id,
                    Deadlines { silence_timeout: call.silence, total_deadline: call.last },
                    now,
                );
            }
            LinkState::Plain(end) => end.open(call, call.last.min(now + call.silence), sink)?,
        }
        // Read under the lock: where the next round has begun, this call may have come too late for it.
        let waits = call.message.len() <= SHORT_MESSAGE && self.gathers.load(Ordering::Relaxed);
        drop(link);
        if !waits {
            self.waker.wake();
        }
        Ok(())
    }

    /// Sends a call that listens, which has no limit of time and counts neither as load nor against a limit. Its events go to `response`.
    pub(crate) fn listen(
        &self,
        id: CallId,
        header: &Bytes,
        message: &Bytes,
        response: &Arc<ResponseRx>,
    ) -> Result<(), NotLinked> {
        match &mut *self.link() {
            LinkState::Native(end) => {
                end.open(id, header, message.clone(), ResponseTx::uncounted(Arc::clone(response)))?;
            }
            LinkState::Plain(_) => return Err(NotLinked),
        }
        self.waker.wake();
        Ok(())
    }

    /// Cancels a call: nobody waits for its answer any more.
    pub(crate) fn cancel(&self, id: CallId) {
        match &mut *self.link() {
            LinkState::Native(end) => end.cancel(id),
            LinkState::Plain(end) => end.forget(id),
        }
        self.waker.wake();
    }

    /// Detaches the reader from a call, which runs on. `may_return`: the client may come back to it.
    pub(crate) fn abandon(&self, id: CallId, may_return: bool, now: Instant) {
        match &mut *self.link() {
            LinkState::Native(end) => {
                if !may_return {
                    end.forget(id);
                }
                end.abandon(id, now);
            }
            LinkState::Plain(end) => end.forget(id),
        }
        self.waker.wake();
    }

    /// Acknowledges that the reader has taken all chunks below `seq`, `bytes` more than before. `forget`: the call's client cannot come
    /// back to it.
    pub(crate) fn acknowledge(&self, id: CallId, seq: Seq, bytes: usize, forget: bool) {
        let wake = match &mut *self.link() {
            LinkState::Native(end) => {
                if forget {
                    end.forget(id);
                }
                end.acknowledge(id, seq, bytes, Instant::now());
                end.wants_to_send()
            }
            LinkState::Plain(_) => false,
        };
        if wake {
            self.waker.wake();
        }
    }

    /// Sends facts about a client session. A plain slave cannot be told of a cancellation: its call ends here.
    pub(super) fn send_session_facts(&self, facts: &Bytes) {
        match &mut *self.link() {
            LinkState::Native(end) => {
                end.session(facts.clone());
                self.waker.wake();
            }
            LinkState::Plain(end) if end.calls() > 0 => {
                if let Some(SessionFact::Cancelled { digests, .. }) = SessionFact::decode(facts) {
                    end.cancel(&digests);
                }
            }
            LinkState::Plain(_) => {}
        }
    }

    /// Sends the known proxies, if the slave takes `peers` frames.
    pub(super) fn send_peers(&self, peers: &Bytes) {
        if self.takes_peers
            && let LinkState::Native(end) = &mut *self.link()
        {
            end.peers(peers.clone());
            self.waker.wake();
        }
    }

    /// Announces that this proxy shuts down.
    pub(super) fn send_drain(&self) {
        if let LinkState::Native(end) = &mut *self.link() {
            end.drain();
            self.waker.wake();
        }
    }

    /// Returns the number of calls that have not ended.
    pub(super) fn calls(&self) -> usize {
        match &*self.link() {
            LinkState::Native(end) => end.calls(),
            LinkState::Plain(end) => end.calls(),
        }
    }
}
