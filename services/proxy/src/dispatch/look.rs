//! A call as the status page and the audit stream see it: written down where somebody wants to know, else not looked at.
//! Must not know how calls are carried.

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use front::calls::CallContext;
use protocol::link::call::ResponseEvent;
use protocol::link::header::CallHeader;
use protocol::mcp::progress;
use runtime::activity::{Activity, CallGuard, CallPhase, CallProgress, Labels};
use runtime::telemetry::LogContext;

use super::client::Client;
use super::stream::{At, Open};
use crate::routes::Routes;

/// A call begins with this message. `routes` is asked only if calls are written down.
pub(super) fn begin(
    activity: &Activity,
    (call, header, asker): (LogContext, &CallHeader, &CallContext<'_>),
    message: &Bytes,
    routes: impl FnOnce() -> Arc<Routes>,
) -> CallGuard {
    let watched = activity.start(|| Labels {
        id: call.request(),
        tool: header.name.clone().unwrap_or_default(),
        client: shown(&Client::of(asker, header), &routes()),
        peer: asker.peer,
        trace: call.trace(),
    });
    watched.record_request(message);
    watched
}

/// A client for people: by its name in the `ROUTES` file, its address, or a number that tells it from others. Never by
/// its key or its session.
fn shown(client: &Client, routes: &Routes) -> String {
    let number = client.seed() & 0xff_ffff;
    match client {
        Client::Key(who) => {
            let digest = who.digest();
            let named = routes.clients.iter().find(|(_, digests)| digests.contains(&digest));
            named.map_or_else(|| format!("key {number:06x}"), |(name, _)| name.clone())
        }
        Client::Session(_) => format!("session {number:06x}"),
        Client::Address(address) => address.to_string(),
        Client::Unknown => String::new(),
    }
}

impl Open {
    /// Looks where the call is and how far, if somebody wants to know.
    pub(super) fn watch(&self, polled: &Poll<ResponseEvent>) {
        if !self.watched.is_recording() {
            return;
        }
        match &self.at {
            At::Slave(slave) => self.watched.set_phase(CallPhase::Running, &slave.name),
            At::Queue(..) | At::Nowhere(_) => self.watched.set_phase(CallPhase::Waiting, ""),
        }
        if let Poll::Ready(ResponseEvent::Event { more: false, payload, .. }) = polled
            && let Some(progress::Progress { progress, total }) = progress::Progress::read(payload)
        {
            self.watched.set_progress(CallProgress { done: progress, total });
        }
        if let Poll::Ready(ResponseEvent::End { error, payload, .. }) = polled {
            self.watched.record_response(if *error { "error" } else { "result" }, payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use front::Keys;

    use super::*;

    #[test]
    fn clients_are_told_apart_without_what_is_theirs() {
        let who = Keys::new(["hush1"]).check(b"hush1").unwrap();
        let unnamed = shown(&Client::Key(who), &Routes::default());
        assert!(unnamed.starts_with("key ") && unnamed.len() == 10, "{unnamed}");
        let clients = BTreeMap::from([("ci".to_owned(), vec![who.digest()])]);
        let routes = Routes { clients, ..Routes::default() };
        assert_eq!(shown(&Client::Key(who), &routes), "ci");
        assert_eq!(shown(&Client::Address("10.1.2.3".parse().unwrap()), &routes), "10.1.2.3");
        assert!(shown(&Client::Session(7), &routes).starts_with("session "));
    }
}
