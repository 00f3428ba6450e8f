//! Messages for a stream that another proxy has: slaves carry them. Both proxies ask the same few slaves, which the session's hash chooses
//! among those that are linked to them. Must not know what a message says, nor HTTP.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::link::call::ResponseEvent;
use protocol::link::header::{CallHeader, Purpose};
use protocol::link::ids::CallId;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::{Failure, FailureKind, kind_in};
use tokio::time::timeout;

use super::forwarder::Forwarder;
use crate::links::{Recv, ResponseRx, Slave};
use crate::stable_hash::{fnv1a_64, mix};

/// Slaves that a stream's proxy listens at.
pub(super) const INBOXES: usize = 2;

/// Slaves that a message is offered to: more, since two proxies need not be linked to the same ones.
const OFFERS: usize = 4;

/// Longest wait for one slave.
const OFFER_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the slaves that carry messages for the stream of a session, the first choice first.
pub(super) fn carriers(forwarder: &Forwarder, session: &str, count: usize) -> Vec<Arc<Slave>> {
    let mut slaves: Vec<Arc<Slave>> = forwarder.registry.all();
    slaves.retain(|slave| slave.accepts_calls());
    order(&mut slaves, session, |slave| &slave.name);
    slaves.truncate(count);
    slaves
}

/// Orders by rendezvous hashing of names.
fn order<T>(slaves: &mut [T], session: &str, name: impl Fn(&T) -> &str) {
    let seed = fnv1a_64(session.as_bytes());
    slaves.sort_by_cached_key(|slave| Reverse(mix(seed ^ fnv1a_64(name(slave).as_bytes()))));
}

/// An offer to one slave. Dropping it cancels the call.
struct Offer {
    slave: Arc<Slave>,
    id: CallId,
    response: Arc<ResponseRx>,
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.slave.cancel(self.id);
    }
}

/// Hands a message to the proxy that has the stream of a session. One that reaches it twice is taken once there.
pub(super) async fn post(forwarder: Arc<Forwarder>, session: String, message: Bytes) -> Result<(), Failure> {
    let header = CallHeader {
        purpose: Purpose::Post,
        session: Some(session.clone()),
        ..CallHeader::new("post", Era::Legacy, Version::V2024_11_05)
    };
    let header = Bytes::from(serde_json::to_vec(&header).map_err(|_| Failure::Internal)?);
    let mut refused = Failure::SessionNotFound;
    for slave in carriers(&forwarder, &session, OFFERS) {
        let (id, response) = (forwarder.next_id(), Arc::new(ResponseRx::default()));
        if slave.listen(id, &header, &message, &response).is_err() {
            continue;
        }
        let offer = Offer { slave, id, response };
        match timeout(OFFER_TIMEOUT, offer.outcome()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Failure::SessionNotFound)) | Err(_) => {}
            Ok(Err(failure)) => refused = failure,
        }
    }
    Err(refused)
}

impl Offer {
    async fn outcome(&self) -> Result<(), Failure> {
        loop {
            match std::future::poll_fn(|cx| self.response.poll_recv(cx)).await {
                Recv::ResponseEvent(ResponseEvent::End { error: false, .. }) => return Ok(()),
                Recv::ResponseEvent(ResponseEvent::End { payload, .. })
                    if kind_in(&payload) == Some(FailureKind::Overloaded) =>
                {
                    let what = "messages of this session wait: read its stream".to_owned();
                    return Err(Failure::ClientLimit { what, retry_after: 1 });
                }
                // Also a slave of an earlier version, which does not know what is asked.
                Recv::ResponseEvent(ResponseEvent::End { .. } | ResponseEvent::Failed(_)) | Recv::Unsent => {
                    return Err(Failure::SessionNotFound);
                }
                Recv::ResponseEvent(ResponseEvent::Event { .. }) | Recv::ProbablyLost => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(names: &[&'static str], session: &str, count: usize) -> Vec<&'static str> {
        let mut names = names.to_vec();
        order(&mut names, session, |name| name);
        names.truncate(count);
        names
    }

    #[test]
    fn two_proxies_choose_the_same_slaves_also_where_one_lacks_a_few() {
        let all = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let mut firsts = std::collections::HashSet::new();
        for session in 0..100 {
            let session = session.to_string();
            let inboxes = first(&all, &session, INBOXES);
            firsts.insert(inboxes[0]);
            let mut shuffled = all;
            shuffled.reverse();
            assert_eq!(first(&shuffled, &session, INBOXES), inboxes);
            for lacking in all {
                let fewer: Vec<_> = all.into_iter().filter(|name| *name != lacking).collect();
                let offers = first(&fewer, &session, OFFERS);
                assert!(inboxes.iter().any(|name| offers.contains(name)), "{session} {lacking}");
            }
        }
        assert_eq!(firsts.len(), all.len(), "the load is spread");
    }
}
