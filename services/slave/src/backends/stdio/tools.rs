//! The tools of a child: listing them, and the subscription to their changes. Must not know processes.

use std::sync::Arc;

use protocol::mcp::catalog::{CatalogEntry, ListHints, MAX_CATALOG};
use protocol::mcp::era::Era;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::messages;
use super::request::{RequestError, expect_result, parse, send, send_as};
use super::session::{RequestKind, Session};
use crate::backends::registration::ToolList;

/// Pages of `tools/list` after which a child's cursor counts as endless.
const MAX_PAGES: usize = 1000;

/// Returns the tools of all pages of `tools/list`, with the stricter of the pages' hints. A tool without a usable name is left out with
/// a warning.
pub(super) async fn list(session: &Arc<Session>, era: Era) -> Result<ToolList, RequestError> {
    #[derive(Deserialize)]
    struct ToolsPage<'a> {
        #[serde(borrow)]
        tools: Vec<&'a RawValue>,
        #[serde(rename = "nextCursor", borrow, default)]
        next: Option<&'a RawValue>,
        #[serde(rename = "ttlMs", borrow, default)]
        ttl_ms: Option<&'a RawValue>,
        #[serde(rename = "cacheScope", borrow, default)]
        cache_scope: Option<&'a RawValue>,
    }
    const METHOD: &str = "tools/list";
    let (mut tools, mut bytes, mut params) = (ToolList::default(), 0, String::new());
    for _ in 0..MAX_PAGES {
        let mut request =
            send(session, |id| messages::request(id, METHOD, &params, era)).await?.timed(METHOD);
        let result = expect_result(request.next().await, METHOD)?;
        let page: ToolsPage<'_> = parse(&result, METHOD)?;
        bytes += result.len();
        if bytes > MAX_CATALOG {
            break;
        }
        tools.hints = tools.hints.with(ListHints::read(page.ttl_ms, page.cache_scope));
        for tool in page.tools {
            match CatalogEntry::named(tool) {
                Ok(entry) => tools.entries.push(entry),
                Err(error) => tracing::warn!(
                    backend = &*session.backend,
                    "a tool is left out, since its name is invalid: {error}"
                ),
            }
        }
        match page.next {
            Some(cursor) => params = format!(r#""cursor":{}"#, cursor.get()),
            None => return Ok(tools),
        }
    }
    Err(RequestError::Unexpected {
        method: METHOD,
        reason: format!("more than {MAX_PAGES} pages or {MAX_CATALOG} bytes"),
    })
}

/// Asks a modern child to notify when its tools change. The request stays open until the child ends it.
pub(super) async fn subscribe(session: &Arc<Session>) {
    const FILTER: &str = r#""notifications":{"toolsListChanged":true}"#;
    let listen = |id| messages::request(id, "subscriptions/listen", FILTER, Era::Modern);
    if let Ok(mut stream) = send_as(session, RequestKind::Standing, listen).await {
        let end = stream.next().await;
        tracing::debug!(backend = &*session.backend, ?end, "the subscription to changes of the tools ended");
    }
}
