//! The tasks of a legacy child (2025-11-25, Tasks, "Listing Tasks"). Must not know whose they are.

use std::sync::Arc;

use bytes::Bytes;
use protocol::mcp::call_message::{CallRules, MessageCheck, MessageShape};
use protocol::mcp::catalog::{CARRIES_TASKS, ServerFacts};
use protocol::mcp::era::Era;
use protocol::mcp::task_list::TaskPage;
use tokio::time::{Instant, timeout_at};

use super::messages;
use super::request::{expect_result, send};
use super::session::Session;

/// Pages of a list after which a child's cursor counts as endless.
const MAX_PAGES: usize = 100;

/// Bytes of a list after which no more of it is read.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Returns what the slave carries of a child with tasks.
pub(super) fn carried(facts: &ServerFacts) -> Option<String> {
    facts.has_legacy_tasks().then(|| CARRIES_TASKS.to_owned())
}

/// Reads the list page by page, until the deadline at the latest; what cannot be read ends it.
pub(super) async fn list(session: &Arc<Session>, facts: &ServerFacts, deadline: Instant) -> Vec<Bytes> {
    const METHOD: &str = "tasks/list";
    let (mut pages, mut bytes, mut params) = (Vec::new(), 0, String::new());
    if !facts.has_legacy_tasks() || facts.capability(&["tasks", "list"]).is_none() {
        return pages;
    }
    let backend = &*session.backend;
    while pages.len() < MAX_PAGES && bytes < MAX_BYTES {
        let asked = async {
            let request = send(session, |id| messages::request(id, METHOD, &params, Era::Legacy));
            expect_result(request.await?.timed(METHOD).next().await, METHOD)
        };
        let page = match timeout_at(deadline, asked).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => {
                tracing::debug!(backend, "the list of tasks ends early: {error}");
                break;
            }
            Err(_) => {
                tracing::debug!(backend, "the list of tasks ends early: the backend did not answer in time");
                break;
            }
        };
        let rules = CallRules { era: Era::Legacy, label: None, token: None };
        let is_sound = MessageCheck::whole(MessageShape::Result, &page, rules).is_ok();
        let Some(read) = TaskPage::read(&page).filter(|_| is_sound) else {
            tracing::debug!(backend, "the list of tasks ends early: it is none");
            break;
        };
        let next = read.next.map(|cursor| format!(r#""cursor":{}"#, cursor.get()));
        bytes += page.len();
        pages.push(page);
        match next {
            Some(next) => params = next,
            None => break,
        }
    }
    pages
}
