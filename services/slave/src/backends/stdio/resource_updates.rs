//! The requests by which a child is asked to tell of updates of resources: one for each resource in the legacy era, one for all in the
//! modern. Must not know who wants the updates.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::mcp::catalog::ServerFacts;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;

use super::incoming::Incoming;
use super::messages;
use super::request::{send, send_as};
use super::request_table::RequestKind;
use super::session::{OutboundRequest, Session};
use crate::subscriptions::{Status, WatchedResources};

/// Longest wait for a child's answer to one request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for which changes of the set are collected: with each one a modern child is asked anew for all.
const COLLECT: Duration = Duration::from_millis(5);

/// Pause after a modern child has ended a subscription by itself.
const RENEW_DELAY: Duration = Duration::from_secs(1);

/// Keeps the child asked for what is wanted. Returns only when the child is gone.
pub(super) async fn follow(
    session: &Arc<Session>,
    era: Era,
    facts: &ServerFacts,
    watched: &WatchedResources,
) {
    if facts.capability(&["resources", "subscribe"]).is_none() {
        refuse(era, watched).await;
    } else if era == Era::Legacy {
        follow_legacy(session, watched).await;
    } else {
        follow_modern(session, watched).await;
    }
}

/// Refuses everything for a child that cannot tell of updates. Never returns.
async fn refuse(era: Era, watched: &WatchedResources) {
    let failure = Failure::MethodNotFound("resources/subscribe".into());
    let mut changes = watched.changes();
    loop {
        changes.mark_unchanged();
        for uri in watched.uris() {
            watched.set_status(&uri, Status::Refused(failure.error_object(era).into()));
        }
        if watched.uris().is_empty() && changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn follow_legacy(session: &Arc<Session>, watched: &WatchedResources) {
    let mut asked: HashSet<String> = HashSet::new();
    let mut changes = watched.changes();
    loop {
        changes.mark_unchanged();
        let wanted = watched.uris();
        for gone in asked.extract_if(|uri| wanted.binary_search(uri).is_err()).collect::<Vec<_>>() {
            let _ = ask(session, "resources/unsubscribe", &gone).await;
        }
        for uri in wanted {
            if asked.contains(&uri) {
                // The last reader left and another came before the child was told.
                watched.set_status(&uri, Status::Watched);
                continue;
            }
            let Some(status) = ask(session, "resources/subscribe", &uri).await else { return };
            if status == Status::Watched {
                asked.insert(uri.clone());
            }
            watched.set_status(&uri, status);
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Asks a legacy child about one resource; `None`: the child is gone.
async fn ask(session: &Arc<Session>, method: &'static str, uri: &str) -> Option<Status> {
    let params = uri_params(uri);
    let request = send(session, |id| messages::request(id, method, &params, Era::Legacy)).await;
    let mut request = request.ok()?.timed(method);
    Some(match tokio::time::timeout(ANSWER_TIMEOUT, request.next()).await {
        Ok(Incoming::Result { .. }) => Status::Watched,
        Ok(Incoming::Error(error)) => Status::Refused(error),
        Ok(Incoming::Failed(Failure::BadAnswer(_) | Failure::ResultTooLarge(_))) | Err(_) => {
            Status::Refused(Failure::Timeout.error_object(Era::Legacy).into())
        }
        Ok(Incoming::Failed(_)) => return None,
        // Nothing else belongs to a request of the slave itself.
        Ok(_) => Status::Refused(Failure::Internal.error_object(Era::Legacy).into()),
    })
}

fn uri_params(uri: &str) -> String {
    format!(r#""uri":{}"#, serde_json::to_string(uri).unwrap_or_else(|_| "\"\"".into()))
}

/// A standing `subscriptions/listen`, and what it asks for.
struct Subscription {
    uris: Vec<String>,
    request: OutboundRequest,
}

async fn follow_modern(session: &Arc<Session>, watched: &WatchedResources) {
    let mut standing: Option<Subscription> = None;
    let mut changes = watched.changes();
    loop {
        changes.mark_unchanged();
        let wanted = watched.uris();
        if wanted.is_empty() {
            standing = None;
        } else if standing.as_ref().is_none_or(|standing| standing.uris != wanted) {
            let Some(request) = listen(session, &wanted).await else { return };
            // The one before ends only now, so that no update is missed.
            standing = Some(Subscription { uris: wanted.clone(), request });
        }
        for uri in &wanted {
            watched.set_status(uri, Status::Watched);
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
                let uris = standing.take().map(|standing| standing.uris).unwrap_or_default();
                match end {
                    Incoming::Error(error) => {
                        for uri in &uris {
                            watched.set_status(uri, Status::Refused(error.clone()));
                        }
                    }
                    Incoming::Failed(_) => return,
                    _ => tokio::time::sleep(RENEW_DELAY).await,
                }
            }
        }
    }
}

async fn listen(session: &Arc<Session>, uris: &[String]) -> Option<OutboundRequest> {
    let list = serde_json::to_string(uris).unwrap_or_else(|_| "[]".into());
    let filter = format!(r#""notifications":{{"resourceSubscriptions":{list}}}"#);
    let message = |id| -> Bytes { messages::request(id, "subscriptions/listen", &filter, Era::Modern) };
    send_as(session, RequestKind::Standing, message).await.ok()
}
