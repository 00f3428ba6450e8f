//! Records of calls for the status page and the audit stream, made only if one of them is on. Must not know how calls are
//! forwarded.

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use front::calls::CallContext;
use protocol::link::call::ResponseEvent;
use protocol::link::header::CallHeader;
use protocol::mcp::progress;
use runtime::activity::{Activity, CallGuard, CallPhase, CallProgress, Labels};
use runtime::keys::Key;
use runtime::telemetry::LogContext;

use crate::limits::client::Client;
use crate::links::Slave;
use crate::routes::Routes;

/// Begins the record of a call. `routes` is asked only if calls are recorded.
pub(super) fn begin(
    activity: &Activity,
    log: LogContext,
    header: &CallHeader,
    context: &CallContext<'_>,
    message: &Bytes,
    routes: impl FnOnce() -> Arc<Routes>,
) -> CallGuard {
    let guard = activity.start(|| {
        let by_certificate = context.credential.identity_by_certificate();
        let by_token = context.credential.token.as_deref().map(|token| &token.identity);
        let holder = by_token.or(by_certificate.as_ref());
        Labels {
            id: log.request(),
            tool: header.name.clone().unwrap_or_default(),
            client: holder.map_or_else(
                || display_name(&Client::of(context, header), context.key(), &routes()),
                |holder| holder.display().to_owned(),
            ),
            key_id: context.credential.key_id(),
            issuer: holder.and_then(|holder| holder.issuer.clone()),
            subject: holder.map(|holder| holder.subject.clone()),
            peer: context.peer,
            trace: log.trace(),
        }
    });
    guard.record_request(message);
    guard
}

/// Returns a client's name in the `ROUTES` file, that of its key, its address, or a number that tells it from others; never its key or its
/// session id.
fn display_name(client: &Client, key: Option<&Key>, routes: &Routes) -> String {
    let number = client.seed() & 0xff_ffff;
    match client {
        Client::Key(who) => {
            let ids = [Some(who.digest()), key.map(Key::digest)];
            let is_of = |digests: &[[u8; 32]]| ids.iter().flatten().any(|id| digests.contains(id));
            let client =
                routes.clients.iter().find(|(_, digests)| is_of(digests)).map(|(name, _)| name.as_str());
            let name = client.or_else(|| key.and_then(Key::name));
            name.map_or_else(|| format!("key {number:06x}"), str::to_owned)
        }
        Client::Session(_) => format!("session {number:06x}"),
        Client::Address(address) => address.to_string(),
        Client::Unknown => String::new(),
    }
}

/// What is proven of the slave that has a call, and of the tool there: code, id of its key, digest of the definition.
fn proven(slave: &Slave, tool: &str) -> Vec<(&'static str, String)> {
    let grant = slave.grant();
    let mut facts = vec![("code", grant.identity().to_string()), ("key_id", grant.key_id())];
    let catalog = slave.catalog();
    let definition = catalog.tools.iter().find(|entry| entry.name == tool).and_then(|entry| entry.digest);
    facts.extend(definition.map(|digest| ("definition", digest.to_string())));
    facts
}

/// Records which slave has the call, its progress, and the size or text of its answer, if the call is recorded. `tool` is
/// the slave's name of the tool.
pub(super) fn record(
    guard: &CallGuard,
    slave: Option<&Arc<Slave>>,
    tool: &str,
    polled: &Poll<ResponseEvent>,
) {
    if !guard.is_recording() {
        return;
    }
    match slave {
        Some(slave) => {
            guard.set_worker_facts(&slave.name, || proven(slave, tool));
            guard.set_phase(CallPhase::Running, &slave.name);
            guard.set_worker_number(slave.key);
        }
        None => guard.set_phase(CallPhase::Waiting, ""),
    }
    match polled {
        Poll::Ready(ResponseEvent::Event { more: false, payload, .. }) => {
            if let Some(progress::Progress { progress, total }) = progress::Progress::read(payload) {
                guard.set_progress(CallProgress { done: progress, total });
            }
        }
        Poll::Ready(ResponseEvent::End { error, payload, .. }) => {
            guard.record_response(if *error { "error" } else { "result" }, payload);
        }
        Poll::Ready(_) | Poll::Pending => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use front::Principal;

    #[test]
    fn a_client_s_display_name_shows_neither_key_nor_session() {
        let key = Key::of("hush1");
        let who = Principal::of(&key);
        let unnamed = display_name(&Client::Key(who), Some(&key), &Routes::default());
        assert!(unnamed.starts_with("key ") && unnamed.len() == 10, "{unnamed}");
        let clients = BTreeMap::from([("ci".to_owned(), vec![who.digest()])]);
        let routes = Routes { clients, ..Routes::default() };
        assert_eq!(display_name(&Client::Key(who), Some(&key), &routes), "ci");
        let named = key.named("desktop");
        let client = Client::Key(Principal::of(&named));
        assert_eq!(display_name(&client, Some(&named), &Routes::default()), "desktop");
        assert_eq!(display_name(&client, Some(&named), &routes), "ci", "by the key's digest");
        assert_eq!(display_name(&Client::Address("10.1.2.3".parse().unwrap()), None, &routes), "10.1.2.3");
        assert!(display_name(&Client::Session(7), None, &routes).starts_with("session "));
    }
}
