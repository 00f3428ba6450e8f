//! The lists of a child: reading them, and the subscription to their changes. Must not know processes.

use std::sync::Arc;

use protocol::mcp::catalog::{CatalogEntry, ListHints, ListKind, MAX_CATALOG, ServerFacts};
use protocol::mcp::era::{Era, meta};
use protocol::mcp::members::Members;
use serde_json::value::RawValue;

use super::messages;
use super::request::{RequestError, expect_result, parse, send, send_as};
use super::request_table::RequestKind;
use super::session::Session;
use crate::backends::registration::{BackendReport, EntryList};

/// Pages of a list after which a child's cursor counts as endless.
const MAX_PAGES: usize = 1000;

/// Returns whether the child says that it has a list of this kind.
pub(super) fn has(facts: &ServerFacts, kind: ListKind) -> bool {
    let capability = match kind {
        ListKind::Tools => "tools",
        ListKind::Prompts => "prompts",
        ListKind::Resources | ListKind::ResourceTemplates => "resources",
    };
    facts.capability(&[capability]).is_some()
}

/// Returns all lists that the child says to have. Tools that cannot be listed are an error; another list that cannot be is left out with a
/// warning.
pub(super) async fn all(
    session: &Arc<Session>,
    era: Era,
    facts: &ServerFacts,
) -> Result<[Option<EntryList>; 4], RequestError> {
    let mut lists = [const { None }; 4];
    for kind in ListKind::ALL.into_iter().filter(|kind| has(facts, *kind)) {
        lists[kind as usize] = match list(session, era, kind).await {
            Ok(list) => Some(list),
            Err(error) if kind == ListKind::Tools => return Err(error),
            Err(error) => {
                warn_unlisted(session, kind, &error);
                None
            }
        };
    }
    Ok(lists)
}

/// Reads those lists of a report again of which the child has said that they changed. One that cannot be read stays as it was.
pub(super) async fn refresh(session: &Arc<Session>, era: Era, report: &mut BackendReport) {
    let changed = session.changed_lists.take();
    for kind in ListKind::ALL {
        if !changed.has(kind) || !has(&report.facts, kind) {
            continue;
        }
        match list(session, era, kind).await {
            Ok(list) => report.lists[kind as usize] = Some(list),
            Err(error) => warn_unlisted(session, kind, &error),
        }
    }
}

fn warn_unlisted(session: &Session, kind: ListKind, error: &RequestError) {
    tracing::warn!(backend = &*session.backend, list = kind.name(), "a list cannot be read: {error}");
}

/// Returns the entries of all pages of a list, with the stricter of the pages' hints. An entry without a usable name is left out with a
/// warning.
async fn list(session: &Arc<Session>, era: Era, kind: ListKind) -> Result<EntryList, RequestError> {
    let method = kind.method();
    let (mut list, mut bytes, mut params) = (EntryList::default(), 0, String::new());
    for _ in 0..MAX_PAGES {
        let mut request =
            send(session, |id| messages::request(id, method, &params, era)).await?.timed(method);
        let result = expect_result(request.next().await, method)?;
        bytes += result.len();
        if bytes > MAX_CATALOG {
            break;
        }
        let page: Members<'_> = parse(&result, method)?;
        let member = |name: &str| page.0.iter().rfind(|(key, _)| key == name).map(|(_, value)| *value);
        let missing = || RequestError::Unexpected { method, reason: format!("it has no {:?}", kind.name()) };
        let entries: Vec<&RawValue> =
            parse(member(kind.name()).ok_or_else(missing)?.get().as_bytes(), method)?;
        list.meta = list.meta.or_else(|| own_meta(member("_meta")?));
        list.hints = list.hints.with(ListHints::read(member("ttlMs"), member("cacheScope")));
        for entry in entries {
            match CatalogEntry::read(kind, entry) {
                Ok(entry) => list.entries.push(entry),
                Err(error) => tracing::warn!(
                    backend = &*session.backend,
                    list = kind.name(),
                    "an entry is left out, since its name is invalid: {error}"
                ),
            }
        }
        match member("nextCursor").filter(|cursor| cursor.get() != "null") {
            Some(cursor) => params = format!(r#""cursor":{}"#, cursor.get()),
            None => return Ok(list),
        }
    }
    Err(RequestError::Unexpected {
        method,
        reason: format!("more than {MAX_PAGES} pages or {MAX_CATALOG} bytes"),
    })
}

/// Returns the `_meta` of a list without what it has as a result of any kind; `None` where nothing is left.
fn own_meta(meta: &RawValue) -> Option<Box<RawValue>> {
    let members: Members<'_> = serde_json::from_str(meta.get()).ok()?;
    let own = members.0.iter().filter(|(key, _)| key != meta::SERVER_INFO);
    let member =
        |(key, value): &(String, &RawValue)| format!("{}:{value}", serde_json::Value::from(key.as_str()));
    let own: Vec<String> = own.map(member).collect();
    if own.is_empty() {
        return None;
    }
    RawValue::from_string(format!("{{{}}}", own.join(","))).ok()
}

/// Asks a modern child to notify when its lists change. The request stays open until the child ends it.
pub(super) async fn subscribe(session: &Arc<Session>, facts: &ServerFacts) {
    let wanted = [
        ("tools", "toolsListChanged"),
        ("prompts", "promptsListChanged"),
        ("resources", "resourcesListChanged"),
    ];
    let announced = wanted.into_iter().filter(|(list, _)| facts.capability(&[list, "listChanged"]).is_some());
    let filter: Vec<String> = announced.map(|(_, change)| format!(r#""{change}":true"#)).collect();
    if filter.is_empty() {
        return;
    }
    let filter = format!(r#""notifications":{{{}}}"#, filter.join(","));
    let listen = |id| messages::request(id, "subscriptions/listen", &filter, Era::Modern);
    if let Ok(mut stream) = send_as(session, RequestKind::Standing, listen).await {
        let end = stream.next().await;
        tracing::debug!(backend = &*session.backend, ?end, "the subscription to changes of the lists ended");
    }
}
