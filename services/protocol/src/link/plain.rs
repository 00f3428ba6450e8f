//! The plain dialect: one JSON-RPC request as a text frame, one response as a text frame, matched by `id`.
//!
//! EXISTING.md, "WebSocket, plain dialect". The proxy gives each request an id of its own, since clients' ids collide,
//! and restores the client's. No progress, no cancellation, no resumption: what a lost link had is "outcome unknown".

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::link::call::ResponseEvent;
use crate::mcp::failure::Failure;
use crate::mcp::members::with_name;
use crate::mcp::object::Object;
use crate::mcp::result::is_tool_error;

/// Number that the proxy gives a request on a plain link.
pub type PlainId = u64;

#[derive(Serialize)]
struct Request<'a> {
    jsonrpc: &'static str,
    id: PlainId,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
}

/// Writes a request as the Node server's slaves expect it.
pub fn request(id: PlainId, method: &str, params: Option<&RawValue>) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Request { jsonrpc: "2.0", id, method, params })
}

/// A client's request with an id of ours in place of the client's; everything in `params` stays as it is, but for
/// `params.name`, which becomes `name` where that is given (a namespaced tool is called by the slave's own name).
pub fn restamp(id: PlainId, message: &[u8], name: Option<&str>) -> Result<String, serde_json::Error> {
    #[derive(Deserialize)]
    struct Incoming<'a> {
        #[serde(borrow)]
        method: Cow<'a, str>,
        #[serde(borrow, default)]
        params: Option<&'a RawValue>,
    }
    let incoming: Incoming<'_> = serde_json::from_slice(message)?;
    let renamed = match (name, incoming.params) {
        (Some(name), Some(params)) => with_name(params, name)?,
        _ => None,
    };
    request(id, &incoming.method, renamed.as_deref().or(incoming.params))
}

/// Why a text frame of a plain slave is not an answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlainError {
    /// Not a JSON-RPC response.
    #[error("not a JSON-RPC response: {0}")]
    Malformed(String),
    /// An answer to nothing that was asked (or to something that was given up).
    #[error("an answer to request {0}, which is not under way")]
    Stray(PlainId),
}

/// Requests under way on one plain link. `S` is whatever waits for the answer.
#[derive(Debug, Default)]
pub struct PlainCalls<S> {
    last: PlainId,
    waiting: HashMap<PlainId, S>,
}

impl<S> PlainCalls<S> {
    /// No requests yet.
    pub fn new() -> Self {
        Self { last: 0, waiting: HashMap::new() }
    }

    /// Gives a request its number.
    pub fn begin(&mut self, waiter: S) -> PlainId {
        self.last += 1;
        self.waiting.insert(self.last, waiter);
        self.last
    }

    /// Nobody waits any more: the answer, if it comes, is a stray one.
    pub fn forget(&mut self, id: PlainId) -> Option<S> {
        self.waiting.remove(&id)
    }

    /// Requests under way.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The link is gone: everything that was asked.
    pub fn drain(&mut self) -> impl Iterator<Item = S> + '_ {
        self.waiting.drain().map(|(_, waiter)| waiter)
    }

    /// Takes one text frame: who waits for it, and the end of its call (cut out of the frame, not copied).
    pub fn answer(&mut self, text: &Bytes) -> Result<(S, ResponseEvent), PlainError> {
        #[derive(Deserialize)]
        struct Response<'a> {
            #[serde(borrow)]
            id: &'a RawValue,
            #[serde(borrow, default)]
            result: Option<&'a RawValue>,
            #[serde(borrow, default)]
            error: Option<&'a RawValue>,
        }
        let Object(response): Object<Response<'_>> =
            serde_json::from_slice(text).map_err(|e| PlainError::Malformed(e.to_string()))?;
        // Ours are numbers from 1: an id of another form (say null, for a message it could not read) is nobody's.
        let id = response.id.get().parse().unwrap_or(0);
        let waiter = self.waiting.remove(&id).ok_or(PlainError::Stray(id))?;
        let part = match (response.result, response.error) {
            (Some(result), None) => end(slice(text, result), false),
            (None, Some(error)) => end(slice(text, error), true),
            _ => ResponseEvent::Failed(Failure::BadAnswer("neither a result nor an error".into())),
        };
        Ok((waiter, part))
    }
}

fn slice(text: &Bytes, value: &RawValue) -> Bytes {
    let slice = text.slice_ref(value.get().as_bytes());
    if memchr::memchr2(b'\n', b'\r', &slice).is_none() {
        return slice;
    }
    // Outside of strings a line break is white space, and inside it cannot stand: SSE data must not have one.
    slice.iter().map(|&b| if b == b'\n' || b == b'\r' { b' ' } else { b }).collect()
}

fn end(payload: Bytes, error: bool) -> ResponseEvent {
    let tool_error = !error && is_tool_error(&payload);
    ResponseEvent::End { seq: 0, more: false, error, tool_error, status: 0, payload }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ours_and_the_rest_is_the_client_s() {
        let message = br#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a","arguments":{"n":1.0}}}"#;
        assert_eq!(
            restamp(7, message, None).unwrap(),
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","arguments":{"n":1.0}}}"#
        );
        assert_eq!(
            restamp(8, message, Some("b")).unwrap(),
            r#"{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"b","arguments":{"n":1.0}}}"#
        );
    }

    #[test]
    fn answers_find_their_request_once() {
        let mut calls = PlainCalls::new();
        let (one, two) = (calls.begin("one"), calls.begin("two"));
        let text =
            Bytes::from(format!("{{\"id\":{two},\"result\":{{\n\"isError\":true}},\"jsonrpc\":\"2.0\"}}"));
        let (who, part) = calls.answer(&text).unwrap();
        assert_eq!(who, "two");
        assert!(
            matches!(part, ResponseEvent::End { tool_error: true, error: false, ref payload, .. } if &payload[..] == b"{ \"isError\":true}")
        );
        assert_eq!(calls.answer(&text), Err(PlainError::Stray(two)));
        assert!(matches!(calls.answer(&Bytes::from_static(b"nonsense")), Err(PlainError::Malformed(_))));
        let null = Bytes::from_static(br#"{"jsonrpc":"2.0","id":null,"error":{}}"#);
        assert_eq!(calls.answer(&null), Err(PlainError::Stray(0)));
        assert_eq!(calls.forget(one), Some("one"));
        assert!(calls.is_empty());
    }
}
