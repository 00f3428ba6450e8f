//! Calls that came before a slave that offers their tool, in the start window or before a slave's first catalog: they wait for it. Must
//! not know HTTP and links.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use front::calls::{CallContext, HeaderMap};
use front::{Credential, Principal};
use protocol::link::header::CallHeader;
use protocol::mcp::failure::Failure;
use protocol::mcp::kind::Kind;

use super::forwarder::Forwarder;
use super::pool::Pool;
use super::queue::CallName;

/// Time between two looks at the directory.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The origin of a call, kept while the call waits.
pub(super) struct KeptContext {
    principal: Principal,
    credential: Credential,
    headers: HeaderMap,
    peer: Option<IpAddr>,
}

impl KeptContext {
    pub(super) fn of(context: &CallContext<'_>) -> Self {
        Self {
            principal: context.principal,
            credential: context.credential.clone(),
            headers: context.headers.clone(),
            peer: context.peer,
        }
    }

    pub(super) fn context(&self) -> CallContext<'_> {
        CallContext {
            principal: self.principal,
            credential: &self.credential,
            headers: &self.headers,
            peer: self.peer,
        }
    }
}

/// A wait for the first slave that offers a tool.
pub(super) struct EarlyWait {
    kind: Option<Kind>,
    tool: String,
    name: Option<CallName>,
    began: Instant,
    until: Instant,
}

impl EarlyWait {
    /// A wait from `began` on, and at most until `until`. The header still has the session and the request id.
    pub(super) fn new(tool: &str, header: &CallHeader, began: Instant, until: Instant) -> Self {
        let name = header.session.clone().zip(header.request_id.clone());
        let name = name.map(|(session, request_id)| CallName { session, request_id });
        Self { kind: header.kind, tool: tool.to_owned(), name, began, until }
    }

    fn goes_on(&self, forwarder: &Forwarder, failure: &Failure) -> bool {
        let now = Instant::now();
        now < self.until && forwarder.waits_until(failure, now).is_some()
    }

    /// Returns the pool of the tool once there is one. Cancel safe.
    pub(super) async fn pool(
        &self,
        forwarder: &Forwarder,
        context: &CallContext<'_>,
    ) -> Result<Arc<Pool>, Failure> {
        loop {
            let next = (Instant::now() + LOOK_INTERVAL).min(self.until);
            tokio::time::sleep_until(next.into()).await;
            if self.name.as_ref().is_some_and(|name| forwarder.queue.was_cancelled(name, self.began)) {
                return Err(Failure::Cancelled);
            }
            match forwarder.pool(self.kind, &self.tool, || context.requester()) {
                Err(failure) if self.goes_on(forwarder, &failure) => {}
                found => return found,
            }
        }
    }
}
