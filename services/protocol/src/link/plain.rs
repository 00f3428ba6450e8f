//! The plain dialect: one JSON-RPC request in a text message, one response in a text message, matched by `id`
//! (docs/PROTOCOL.md, "Plain dialect").
//!
//! The proxy gives each request an id of its own, since clients' ids collide: a string that begins with a random part of its link, so
//! that a response cannot be meant for the request of another link, and nobody but the slave that got the request can name it. There is
//! no progress, no cancellation and no resumption; a slave may send a late response on its next link. Must not know sockets.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::link::call::ResponseEvent;
use crate::mcp::failure::Failure;
use crate::mcp::members::with_name;
use crate::mcp::object::Object;
use crate::mcp::result::is_tool_error;

/// Id of a request on a plain link, given by the proxy: on the wire a string of the link's random part in hex, `-`, and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlainId {
    /// Random part, the same for all requests of a link.
    pub link: u128,
    /// Number of the request on its link, from 1.
    pub number: u64,
}

impl PlainId {
    /// Reads the id of a response, as it stands in JSON; `None` if it is not of the form.
    fn parse(json: &str) -> Option<Self> {
        let text = json.strip_prefix('"')?.strip_suffix('"')?;
        let (link, number) = text.split_once('-')?;
        let id = Self { link: u128::from_str_radix(link, 16).ok()?, number: number.parse().ok()? };
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for PlainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}-{}", self.link, self.number)
    }
}

impl Serialize for PlainId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[derive(Serialize)]
struct Request<'a> {
    jsonrpc: &'static str,
    id: PlainId,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
}

/// Writes a request as the slaves of the existing Node server expect it.
///
/// # Errors
/// The parameters are not valid JSON, which [`RawValue`] rules out.
pub fn request(id: PlainId, method: &str, params: Option<&RawValue>) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Request { jsonrpc: "2.0", id, method, params })
}

/// Writes a client's request with another id. `params` stays as it is, but for `params.name`, which becomes `name` where that
/// is given (a namespaced tool is called by the slave's own name).
///
/// # Errors
/// The message is not a JSON-RPC request.
pub fn rewrite_request(id: PlainId, message: &[u8], name: Option<&str>) -> Result<String, serde_json::Error> {
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

/// Longest id of an existing proxy's request that is answered, in bytes of JSON.
const MAX_FOREIGN_ID: usize = 1024;

/// Returns the id of an existing proxy's request as raw JSON, in whatever form: that proxy passes its clients' ids on, and a response
/// without the id leaves the client waiting. `None`: there is none, it is null, or longer than 1024 bytes.
pub fn foreign_id(request: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    struct Request<'a> {
        #[serde(borrow, default)]
        id: Option<&'a RawValue>,
    }
    let Object(request): Object<Request<'_>> = serde_json::from_slice(request).ok()?;
    let id = request.id?.get();
    (id != "null" && id.len() <= MAX_FOREIGN_ID).then_some(id)
}

/// Why a text message of a plain slave is not a response to a request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlainError {
    /// Not a JSON-RPC response.
    #[error("not a JSON-RPC response: {0}")]
    Malformed(String),
    /// A response to no request of this link, or to one that was given up. `None`: the id is of another form.
    #[error("a response to a request that is not under way on this link")]
    UnknownRequest(Option<PlainId>),
}

/// Requests under way on one plain link. `S` is whatever waits for the response.
#[derive(Debug)]
pub struct PlainCalls<S> {
    link: u128,
    last: u64,
    waiters: HashMap<u64, S>,
}

impl<S> PlainCalls<S> {
    /// Makes a set without requests. `link` is the random part of their ids, which no other link may have.
    pub fn new(link: u128) -> Self {
        Self { link, last: 0, waiters: HashMap::new() }
    }

    /// Adds a request and returns its id.
    pub fn insert(&mut self, waiter: S) -> PlainId {
        self.last += 1;
        self.waiters.insert(self.last, waiter);
        PlainId { link: self.link, number: self.last }
    }

    /// Removes a request that nobody waits for any more. A response that comes later is one to an unknown request.
    pub fn remove(&mut self, id: PlainId) -> Option<S> {
        if id.link == self.link { self.waiters.remove(&id.number) } else { None }
    }

    /// Returns the number of requests under way.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Returns whether no request is under way.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Returns who waits for the response to this request.
    pub fn get(&self, id: PlainId) -> Option<&S> {
        self.waiters.get(&id.number).filter(|_| id.link == self.link)
    }

    /// Removes the requests of which `keeps` is false.
    pub fn retain(&mut self, mut keeps: impl FnMut(&S) -> bool) {
        self.waiters.retain(|_, waiter| keeps(waiter));
    }

    /// Takes one text message. Returns who waits for it, and the end of the call, which shares the memory of the message.
    ///
    /// # Errors
    /// The message is not a response to a request under way.
    pub fn on_response(&mut self, text: &Bytes) -> Result<(S, ResponseEvent), PlainError> {
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
        // An id of another form (say null, for a message that could not be read) belongs to no request.
        let id = PlainId::parse(response.id.get());
        let waiter = id.and_then(|id| self.remove(id)).ok_or(PlainError::UnknownRequest(id))?;
        let event = match (response.result, response.error) {
            (Some(result), None) => end(single_line(text, result), false),
            (None, Some(error)) => end(single_line(text, error), true),
            _ => ResponseEvent::Failed(Failure::BadAnswer("neither a result nor an error".into())),
        };
        Ok((waiter, event))
    }
}

/// Returns the value without line breaks, which an SSE event must not have. They stand only between tokens of JSON, where a space
/// means the same.
fn single_line(text: &Bytes, value: &RawValue) -> Bytes {
    let slice = text.slice_ref(value.get().as_bytes());
    if memchr::memchr2(b'\n', b'\r', &slice).is_none() {
        return slice;
    }
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
    fn a_rewritten_request_has_another_id_and_name_only() {
        let message = br#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a","arguments":{"n":1.0}}}"#;
        let id = PlainId { link: 0xab, number: 7 };
        assert_eq!(
            rewrite_request(id, message, None).unwrap(),
            r#"{"jsonrpc":"2.0","id":"000000000000000000000000000000ab-7","method":"tools/call","params":{"name":"a","arguments":{"n":1.0}}}"#
        );
        assert_eq!(
            rewrite_request(PlainId { number: 8, ..id }, message, Some("b")).unwrap(),
            r#"{"jsonrpc":"2.0","id":"000000000000000000000000000000ab-8","method":"tools/call","params":{"name":"b","arguments":{"n":1.0}}}"#
        );
    }

    #[test]
    fn the_id_of_an_existing_proxy_s_request_is_found_in_any_form() {
        for id in ["1", "1.5", "-0", "1e3", "true", r#""a\n\u0001""#, r#"{"a":1}"#, "[2]"] {
            let text = format!(r#"{{"params":{{"id":9}},"id":{id},"method":5}}"#);
            assert_eq!(foreign_id(text.as_bytes()), Some(id));
        }
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(MAX_FOREIGN_ID));
        for text in ["", "[1]", "{}", r#"{"id":null}"#, r#"{"id":1,"id":2}"#, r#"{"id":1"#, &long] {
            assert_eq!(foreign_id(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_response_finds_its_request_once() {
        let mut calls = PlainCalls::new(0xab);
        let (one, two) = (calls.insert("one"), calls.insert("two"));
        let text = Bytes::from(format!(
            "{{\"id\":\"{two}\",\"result\":{{\n\"isError\":true}},\"jsonrpc\":\"2.0\"}}"
        ));
        let (who, event) = calls.on_response(&text).unwrap();
        assert_eq!(who, "two");
        assert!(
            matches!(event, ResponseEvent::End { tool_error: true, error: false, ref payload, .. } if &payload[..] == b"{ \"isError\":true}")
        );
        assert_eq!(calls.on_response(&text), Err(PlainError::UnknownRequest(Some(two))));
        assert!(matches!(calls.on_response(&Bytes::from_static(b"nonsense")), Err(PlainError::Malformed(_))));
        let null = Bytes::from_static(br#"{"jsonrpc":"2.0","id":null,"error":{}}"#);
        assert_eq!(calls.on_response(&null), Err(PlainError::UnknownRequest(None)));
        for id in [
            "1",
            "\"1\"",
            "\"ab-1\"",
            "\"000000000000000000000000000000ac-1\"",
            "\"000000000000000000000000000000ab-01\"",
        ] {
            let text = Bytes::from(format!(r#"{{"id":{id},"result":{{}}}}"#));
            assert!(matches!(calls.on_response(&text), Err(PlainError::UnknownRequest(_))), "{id}");
        }
        assert_eq!(calls.remove(PlainId { link: 1, number: 1 }), None, "the number of another link");
        assert_eq!((calls.get(one), calls.get(two)), (Some(&"one"), None));
        assert_eq!(calls.remove(one), Some("one"));
        assert!(calls.is_empty());
    }
}
