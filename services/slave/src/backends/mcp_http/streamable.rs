//! Streamable HTTP: one POST for each message, answers as JSON or as streams, lost sessions, broken streams. Must not know headers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::body::Incoming;
use protocol::mcp::era::Era;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::fault::Fault;
use super::outgoing::Outgoing;
use super::response::{BodyForm, EventStream, form, whole};
use super::upstream::{SESSION, Upstream};
use crate::splice::Pieces;

/// Wait before a stream is asked for again, unless the server says another.
const RETRY: Duration = Duration::from_secs(1);

/// Longest such wait while the server gives no stream.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Attempts in a row, without an event, to get the rest of a stream.
const MAX_RESUMES: u32 = 10;

/// Bytes of an answer that is an error of HTTP.
const MAX_ERROR: usize = 64 * 1024;

/// The time in which a stream is to end after its answer. One that is closed early takes its connection with it.
const END_GRACE: Duration = Duration::from_secs(1);

/// Changes that a subscription which was lost may have missed.
const CHANGES: [(&str, &str); 3] = [
    ("tools", r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#),
    ("prompts", r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#),
    ("resources", r#"{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}"#),
];

/// The exchanges under way.
#[derive(Default)]
struct Exchanges {
    tasks: JoinSet<(Option<u64>, Option<Fault>)>,
    by_id: HashMap<u64, AbortHandle>,
    /// Streams that last as long as the session.
    standing: JoinSet<()>,
}

/// Carries the messages until the server cannot be reached, and no exchange is under way.
pub(super) async fn run(upstream: &Arc<Upstream>, mut messages: mpsc::Receiver<Pieces>) -> String {
    let (mut exchanges, mut unreachable) = (Exchanges::default(), None);
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Some(message) => dispatch(upstream, &mut exchanges, Outgoing::read(&message.join())).await,
                None => return "its session ended".to_owned(),
            },
            Some(done) = exchanges.tasks.join_next() => {
                let Ok((id, fault)) = done else { continue };
                id.map(|id| exchanges.by_id.remove(&id));
                unreachable = fault.filter(Fault::is_unreachable).or(unreachable);
            }
        }
        if let Some(fault) = unreachable.as_ref().filter(|_| exchanges.tasks.is_empty()) {
            return fault.to_string();
        }
    }
}

async fn dispatch(upstream: &Arc<Upstream>, exchanges: &mut Exchanges, message: Outgoing) {
    let legacy = upstream.state.lock().version.is_some_and(|version| version.era() == Era::Legacy);
    if let Some(id) = message.cancels {
        if let Some(exchange) = exchanges.by_id.remove(&id) {
            exchange.abort();
        }
        // A modern server takes the end of the stream for the cancellation (2026-07-28, Streamable HTTP, "Cancellation").
        if !legacy {
            return;
        }
    }
    let upstream = Arc::clone(upstream);
    if message.method == "subscriptions/listen" {
        exchanges.standing.spawn(async move { listen(&upstream, message).await });
        return;
    }
    if message.method == "notifications/initialized" {
        // What follows must not overtake it.
        if let Err(fault) = exchange(&upstream, &message).await {
            tracing::debug!(backend = &*upstream.backend, "it does not take \"initialized\": {fault}");
        }
        exchanges.standing.spawn(async move { events(&upstream).await });
        return;
    }
    let id = message.id;
    let task = exchanges.tasks.spawn(async move { (message.id, answer(&upstream, &message).await.err()) });
    id.map(|id| exchanges.by_id.insert(id, task));
}

/// Sends a message. A request has its answer, or a failure, afterwards.
async fn answer(upstream: &Upstream, message: &Outgoing) -> Result<(), Fault> {
    let done = exchange(upstream, message).await;
    let fault = match &done {
        Ok(()) => &Fault::Odd("the response has no answer to the request".into()),
        Err(fault) => fault,
    };
    match message.id {
        Some(id) => upstream.inbox.failed(id, fault.failure(&upstream.backend, &message.method)),
        None if done.is_err() => {
            tracing::debug!(
                backend = &*upstream.backend,
                method = message.method,
                "a message was lost: {fault}"
            );
        }
        None => {}
    }
    done
}

/// Sends a message and reads the response; a session that the server has lost is begun again first.
async fn exchange(upstream: &Upstream, message: &Outgoing) -> Result<(), Fault> {
    let generation = upstream.state.lock().generation;
    let mut response = upstream.post(&upstream.server.url, message).await?;
    let had_session = upstream.state.lock().session.is_some();
    if response.status() == 404 && had_session && message.version.is_none() && message.method != "initialize"
    {
        renew(upstream, generation).await?;
        response = upstream.post(&upstream.server.url, message).await?;
    }
    if message.method == "initialize" && response.status().is_success() {
        upstream.state.lock().session = response.headers().get(SESSION).cloned();
    }
    read(upstream, message, response).await
}

/// Begins a session again that the server does not know any more (2025-11-25, "Session Management"). Its lists may have changed.
async fn renew(upstream: &Upstream, lost: u64) -> Result<(), Fault> {
    let _one = upstream.renewal.lock().await;
    let initialize = {
        let state = upstream.state.lock();
        state.initialize.clone().filter(|_| state.generation == lost)
    };
    let Some(initialize) = initialize else { return Ok(()) };
    let response = upstream.post(&upstream.server.url, &Outgoing::read(&initialize)).await?;
    if !response.status().is_success() {
        return Err(Fault::Status(response.status().as_u16()));
    }
    let session = response.headers().get(SESSION).cloned();
    let form = form(response.headers());
    if form == BodyForm::Events {
        let mut events = EventStream::new(response.into_body(), upstream.limit);
        while events.next().await?.is_some_and(|event| event.data.is_empty()) {}
    } else {
        whole(response.into_body(), upstream.limit).await?;
    }
    {
        let mut state = upstream.state.lock();
        state.session = session;
        state.generation += 1;
    }
    tracing::info!(backend = &*upstream.backend, "the server had lost its session: a new one was begun");
    let initialized = Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    upstream.post(&upstream.server.url, &Outgoing::read(&initialized)).await?;
    for (_, change) in CHANGES {
        upstream.deliver(None, change.into());
    }
    Ok(())
}

async fn read(upstream: &Upstream, message: &Outgoing, response: Response<Incoming>) -> Result<(), Fault> {
    let status = response.status();
    if !status.is_success() {
        let body = whole(response.into_body(), MAX_ERROR).await.unwrap_or_default();
        let Some(text) = error_answer(message.id, &body) else { return Err(Fault::Status(status.as_u16())) };
        upstream.deliver(Some(message), text);
        return Ok(());
    }
    match form(response.headers()) {
        BodyForm::Events => stream(upstream, message, response).await,
        BodyForm::Json => {
            let body = whole(response.into_body(), upstream.limit).await?;
            if !body.is_empty() && message.id.is_some() {
                upstream.deliver(Some(message), body.into());
            }
            Ok(())
        }
        BodyForm::Other if message.id.is_none() => Ok(()),
        BodyForm::Other => Err(Fault::Odd("its response is neither JSON nor a stream of events".into())),
    }
}

/// Returns the error of a response as the answer to request `id`: the response itself may not name the request.
fn error_answer(id: Option<u64>, body: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct ErrorAnswer<'a> {
        #[serde(borrow)]
        error: &'a RawValue,
    }
    let ErrorAnswer { error } = serde_json::from_slice(body).ok()?;
    let is_object = error.get().starts_with('{');
    is_object.then_some(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{}}}"#, id?, error.get()).into_bytes())
}

/// Where a stream is to go on.
#[derive(Default)]
struct ResumePoint {
    last: Option<String>,
    retry: Option<Duration>,
    /// Events since the point was made.
    events: u64,
}

/// Reads a stream until the answer has come; one that breaks before is asked for again where its server can do that.
async fn stream(upstream: &Upstream, message: &Outgoing, response: Response<Incoming>) -> Result<(), Fault> {
    let (mut response, mut point, mut attempts) = (response, ResumePoint::default(), 0);
    loop {
        let before = point.events;
        let end = follow(upstream, Some(message), response, &mut point).await;
        if message.id.is_none_or(|id| !upstream.inbox.waits(id)) {
            return Ok(());
        }
        attempts = if point.events > before { 1 } else { attempts + 1 };
        let resumable = message.version.is_none() && point.last.is_some() && attempts <= MAX_RESUMES;
        if !resumable || matches!(end, Err(Fault::TooLarge(_))) {
            return Err(end.err().unwrap_or(Fault::Ended));
        }
        response = loop {
            sleep(point.retry.unwrap_or(RETRY)).await;
            match upstream.get(point.last.as_deref()).await {
                Ok(next) if form(next.headers()) == BodyForm::Events && next.status().is_success() => {
                    break next;
                }
                Ok(refused) => return Err(Fault::Status(refused.status().as_u16())),
                Err(fault) if attempts >= MAX_RESUMES => return Err(fault),
                Err(_) => attempts += 1,
            }
        };
    }
}

/// Passes the events of one response on until it ends, or the answer has come.
async fn follow(
    upstream: &Upstream,
    message: Option<&Outgoing>,
    response: Response<Incoming>,
    point: &mut ResumePoint,
) -> Result<(), Fault> {
    let mut events = EventStream::new(response.into_body(), upstream.limit);
    while let Some(event) = events.next().await? {
        point.events += 1;
        point.retry = event.retry.or(point.retry);
        point.last = event.id.or(point.last.take());
        if event.data.is_empty() || !matches!(event.name.as_str(), "" | "message") {
            continue;
        }
        upstream.deliver(message, event.data);
        if message.and_then(|message| message.id).is_some_and(|id| !upstream.inbox.waits(id)) {
            let _ = timeout(END_GRACE, async { while let Ok(Some(_)) = events.next().await {} }).await;
            return Ok(());
        }
    }
    Ok(())
}

/// Follows the stream of a legacy server for what belongs to no request, if it has one. Ends when it has none.
async fn events(upstream: &Upstream) {
    let (mut point, mut pause) = (ResumePoint::default(), RETRY);
    loop {
        let generation = upstream.state.lock().generation;
        match upstream.get(point.last.as_deref()).await {
            Ok(response) if response.status() == 404 && upstream.state.lock().session.is_some() => {
                point = ResumePoint::default();
                let _ = renew(upstream, generation).await;
            }
            Ok(response) if response.status().is_client_error() => return,
            Ok(response)
                if form(response.headers()) == BodyForm::Events && response.status().is_success() =>
            {
                pause = RETRY;
                let end = follow(upstream, None, response, &mut point).await;
                tracing::debug!(backend = &*upstream.backend, ?end, "the server's stream of events ended");
            }
            Ok(response) if response.status().is_success() => return,
            Ok(_) | Err(_) => pause = (pause * 2).min(MAX_RETRY),
        }
        sleep(point.retry.unwrap_or(pause)).await;
    }
}

/// Keeps a modern server's subscription open. After a loss the lists that it tells of may have changed.
async fn listen(upstream: &Upstream, message: Outgoing) {
    let mut pause = RETRY;
    loop {
        let point = &mut ResumePoint::default();
        let end = match upstream.post(&upstream.server.url, &message).await {
            Ok(response) if response.status().is_client_error() => {
                Err(Fault::Status(response.status().as_u16()))
            }
            Ok(response) if form(response.headers()) == BodyForm::Events => {
                follow(upstream, Some(&message), response, point).await
            }
            Ok(response) => read(upstream, &message, response).await,
            Err(fault) => Err(fault),
        };
        if message.id.is_some_and(|id| !upstream.inbox.waits(id)) || matches!(end, Err(Fault::Status(_))) {
            return;
        }
        pause = if point.events > 0 { RETRY } else { (pause * 2).min(MAX_RETRY) };
        tracing::debug!(
            backend = &*upstream.backend,
            ?end,
            "the subscription was lost and is asked for again"
        );
        sleep(pause).await;
        let filter = String::from_utf8_lossy(&message.body);
        for (_, change) in CHANGES.iter().filter(|(list, _)| filter.contains(&format!("{list}ListChanged"))) {
            upstream.deliver(None, (*change).into());
        }
    }
}
