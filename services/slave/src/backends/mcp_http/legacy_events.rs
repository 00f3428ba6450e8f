//! The transport of 2024-11-05: one stream of events for all that the server says, and an endpoint that takes messages. Must not know
//! headers.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;

use super::fault::Fault;
use super::outgoing::Outgoing;
use super::response::{BodyForm, EventStream, form};
use super::upstream::Upstream;
use crate::splice::Pieces;

/// Carries the messages until the stream ends.
pub(super) async fn run(upstream: &Arc<Upstream>, messages: mpsc::Receiver<Pieces>) -> String {
    match follow(upstream, messages).await {
        Ok(()) => "it ended its stream of events".to_owned(),
        Err(fault) => fault.to_string(),
    }
}

async fn follow(upstream: &Arc<Upstream>, mut messages: mpsc::Receiver<Pieces>) -> Result<(), Fault> {
    let response = upstream.get(None).await?;
    if !response.status().is_success() {
        return Err(Fault::Status(response.status().as_u16()));
    }
    if form(response.headers()) != BodyForm::Events {
        return Err(Fault::Odd("its response is no stream of events".into()));
    }
    let mut events = EventStream::new(response.into_body(), upstream.limit);
    let (mut endpoint, mut posts) = (None, JoinSet::new());
    loop {
        tokio::select! {
            event = events.next() => {
                let Some(event) = event? else { return Ok(()) };
                match event.name.as_str() {
                    "endpoint" => endpoint = Some(endpoint_of(upstream, &event.data)?),
                    "" | "message" if !event.data.is_empty() => upstream.deliver(None, event.data),
                    _ => {}
                }
            }
            message = messages.recv(), if endpoint.is_some() => {
                let (Some(message), Some(endpoint)) = (message, &endpoint) else { return Ok(()) };
                let (upstream, to) = (Arc::clone(upstream), Url::clone(endpoint));
                posts.spawn(async move { post(&upstream, &to, &Outgoing::read(&message.join())).await });
            }
            Some(_) = posts.join_next() => {}
        }
    }
}

async fn post(upstream: &Upstream, to: &Url, message: &Outgoing) {
    let fault = match upstream.post(to, message).await {
        Ok(response) if response.status().is_success() => return,
        Ok(response) => Fault::Status(response.status().as_u16()),
        Err(fault) => fault,
    };
    if let Some(id) = message.id {
        upstream.inbox.failed(id, fault.failure(&upstream.backend, &message.method));
    } else {
        tracing::debug!(backend = &*upstream.backend, "a message was lost: {fault}");
    }
}

/// Returns where messages go. Another origin must not get this entry's headers.
fn endpoint_of(upstream: &Upstream, data: &[u8]) -> Result<Url, Fault> {
    let text = String::from_utf8_lossy(data);
    let endpoint = upstream
        .server
        .url
        .join(text.trim())
        .map_err(|_| Fault::Odd("the endpoint that it names is no URL".into()))?;
    if endpoint.origin() != upstream.server.url.origin() {
        return Err(Fault::Redirect(endpoint.host_str().unwrap_or("nowhere").escape_default().to_string()));
    }
    Ok(endpoint)
}
