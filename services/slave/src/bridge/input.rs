//! What the client of a parked call is asked for, as a result of its request (2026-07-28, `InputRequiredResult`), and what of an event a
//! later request of it may get. Must not know calls.

use std::fmt::Write as _;

use bytes::Bytes;
use protocol::mcp::splice::{range_in, replace, strip_newlines};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::call::ClientRequest;

/// Requests that a result may ask for input in place of an answer (2026-07-28, "Supported Requests").
pub(crate) const MAY_REQUIRE_INPUT: [&str; 3] = ["prompts/get", "resources/read", "tools/call"];

/// Returns the result that asks for input. `requests` are pairs of a key and what is asked; keys and `state` need no escapes.
pub(super) fn required<'a>(
    requests: impl Iterator<Item = (&'a str, &'a ClientRequest)>,
    state: &str,
) -> Bytes {
    let mut text = String::from(r#"{"resultType":"input_required","inputRequests":{"#);
    for (at, (key, request)) in requests.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Methods are those of the specification, which need no escapes.
        let _ = write!(text, r#"{comma}"{key}":{{"method":"{}""#, request.method);
        if let Some(params) = &request.params {
            let _ = write!(text, r#","params":{}"#, String::from_utf8_lossy(params));
        }
        text.push('}');
    }
    let _ = write!(text, r#"}},"requestState":"{state}"}}"#);
    let mut bytes = text.into_bytes();
    strip_newlines(&mut bytes);
    bytes.into()
}

/// What a later request of the client says about the events that it wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    /// Its progress token as JSON; `None`: no progress.
    pub(super) token: Option<Bytes>,
    /// It asks for log messages.
    pub(super) logs: bool,
}

/// Returns an event for the client's later request, which has a progress token of its own; `None` where that request wants none of its kind.
pub(super) fn for_request(event: Bytes, wishes: &Wishes) -> Option<Bytes> {
    #[derive(Deserialize)]
    struct Event<'a> {
        method: &'a str,
        #[serde(borrow, default)]
        params: Option<Params<'a>>,
    }
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(rename = "progressToken", borrow, default)]
        token: Option<&'a RawValue>,
    }
    let Ok(Event { method, params }) = serde_json::from_slice::<Event<'_>>(&event) else {
        return Some(event);
    };
    match (method, params) {
        ("notifications/progress", Some(Params { token: Some(token) })) => {
            let range = range_in(&event, token);
            wishes.token.as_ref().map(|token| replace(&event, range, token))
        }
        ("notifications/message", _) if !wishes.logs => None,
        _ => Some(event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_asked_for_as_the_backend_wrote_them() {
        let ask = |method: &str, params: Option<&'static str>| ClientRequest {
            method: method.into(),
            params: params.map(|params| Bytes::from_static(params.as_bytes())),
        };
        let requests = [
            ask("elicitation/create", Some(r#"{"x":[1e400,"\ud83d",9007199254740993]}"#)),
            ask("roots/list", None),
        ];
        let pairs = ["a", "b"].into_iter().zip(&requests);
        assert_eq!(
            required(pairs, "s"),
            r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{"x":[1e400,"\ud83d",9007199254740993]}},"b":{"method":"roots/list"}},"requestState":"s"}"#
        );
    }

    #[test]
    fn events_carry_the_token_of_the_request_that_is_answered_now() {
        let get = |event: &'static str, token: Option<&'static str>, logs| {
            let token = token.map(|token| Bytes::from_static(token.as_bytes()));
            for_request(Bytes::from_static(event.as_bytes()), &Wishes { token, logs })
        };
        let progress = r#"{"method":"notifications/progress","params":{"progress":1.0,"progressToken":1}}"#;
        let other = r#"{"method":"notifications/progress","params":{"progress":1.0,"progressToken":"x"}}"#;
        let log = r#"{"method":"notifications/message","params":{"data":1e400}}"#;
        assert_eq!(get(progress, Some(r#""x""#), false).unwrap(), other);
        assert_eq!(get(progress, None, true), None);
        assert_eq!(get(log, None, false), None);
        assert_eq!(get(log, None, true).unwrap(), log);
    }
}
