//! The request by which a child of the modern era is asked to tell of the status of tasks (the extension `io.modelcontextprotocol/tasks`,
//! "Task Status Notifications"). Must not know who wants to learn it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::mcp::catalog::ServerFacts;
use protocol::mcp::era::{Era, TASKS};

use super::incoming::Incoming;
use super::messages;
use super::request::send_as;
use super::request_table::RequestKind;
use super::session::{OutboundRequest, Session};
use crate::subscriptions::WatchedTasks;

/// Time for which changes of the set are collected: with each one the child is asked anew for all.
const COLLECT: Duration = Duration::from_millis(5);

/// Pause after the child has ended the subscription by itself.
const RENEW_DELAY: Duration = Duration::from_secs(1);

/// A standing `subscriptions/listen`, and what it asks for.
struct Subscription {
    ids: Vec<String>,
    request: OutboundRequest,
}

/// Keeps the child asked for what is wanted. Returns only when the child is gone; of a child without tasks, never.
pub(super) async fn follow(session: &Arc<Session>, era: Era, facts: &ServerFacts, watched: &WatchedTasks) {
    if era == Era::Legacy || facts.capability(&["extensions", TASKS]).is_none() {
        return std::future::pending().await;
    }
    watched.begin(session.generation);
    let mut standing: Option<Subscription> = None;
    let mut changes = watched.changes();
    loop {
        changes.mark_unchanged();
        let ids = watched.ids();
        if ids.is_empty() {
            standing = None;
        } else if standing.as_ref().is_none_or(|standing| standing.ids != ids) {
            let Some(request) = listen(session, watched, &ids).await else { return };
            // The one before ends only now, so that nothing is missed.
            standing = Some(Subscription { ids, request });
        }
        let ended = async {
            match &mut standing {
                Some(standing) => standing.request.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            result = changes.changed() => {
                if result.is_err() {
                    return;
                }
                tokio::time::sleep(COLLECT).await;
            }
            end = ended => {
                let request = standing.take().map(|standing| standing.request.id);
                match end {
                    Incoming::Error(_) => request.into_iter().for_each(|request| watched.on_refused(request)),
                    Incoming::Failed(_) => return,
                    _ => tokio::time::sleep(RENEW_DELAY).await,
                }
            }
        }
    }
}

async fn listen(session: &Arc<Session>, watched: &WatchedTasks, ids: &[String]) -> Option<OutboundRequest> {
    let list = serde_json::to_string(ids).unwrap_or_else(|_| "[]".into());
    let filter = format!(r#""notifications":{{"taskIds":{list}}}"#);
    let capabilities = format!(r#"{{"extensions":{{"{TASKS}":{{}}}}}}"#);
    let message = |id| -> Bytes {
        // Before the child can answer.
        watched.on_asked(id, ids);
        messages::able_request(id, "subscriptions/listen", &filter, &capabilities)
    };
    send_as(session, RequestKind::Standing, message).await.ok()
}
