//! The body of a response: one JSON value, or a stream of events. Must not know what messages say.

use std::collections::VecDeque;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use runtime::http_client::{Event, EventReader, HttpError, reason};

use super::fault::Fault;

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyForm {
    Json,
    Events,
    Other,
}

/// Returns the form that the headers of a response announce.
pub(super) fn form(headers: &HeaderMap) -> BodyForm {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        BodyForm::Json
    } else if kind.eq_ignore_ascii_case("text/event-stream") {
        BodyForm::Events
    } else {
        BodyForm::Other
    }
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn whole(body: Incoming, limit: usize) -> Result<Bytes, Fault> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Fault::TooLarge(limit)),
        Err(error) => Err(HttpError::Broken(reason(&*error)).into()),
    }
}

/// A stream of events.
pub(super) struct EventStream {
    body: Incoming,
    reader: EventReader,
    ready: VecDeque<Event>,
    limit: usize,
}

impl EventStream {
    /// Reads events of at most `limit` bytes.
    pub(super) fn new(body: Incoming, limit: usize) -> Self {
        Self { body, reader: EventReader::new(limit), ready: VecDeque::new(), limit }
    }

    /// Returns the next event; `None` at the end. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Fault> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| HttpError::Broken(reason(&error)))?;
            let Ok(bytes) = frame.into_data() else { continue };
            let mut events = Vec::new();
            self.reader.feed(&bytes, &mut events).map_err(|_| Fault::TooLarge(self.limit))?;
            self.ready.extend(events);
        }
    }
}
