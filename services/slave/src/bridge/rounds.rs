//! One round of input that a modern backend's result requires of a legacy client (2026-07-28, "Multi Round-Trip Requests"): the requests,
//! and the retry with the answers. Must not know particular backends.

use std::fmt::Write as _;

use bytes::Bytes;
use protocol::mcp::era::meta;
use protocol::mcp::failure::{Failure, message_in};
use protocol::mcp::members::{Members, without};
use protocol::mcp::splice::range_in;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::capability;
use crate::call::{ASKABLE, ClientAnswer, ClientRequest, Exchange, Request};

/// Requests of one round.
const MAX_REQUESTS: usize = 64;

/// What a result asks for.
pub(super) struct Round {
    requests: Vec<(String, ClientRequest)>,
    /// The backend's `requestState` as JSON.
    pub(super) state: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outside<'a> {
    #[serde(borrow, default)]
    input_requests: Option<Members<'a>>,
    #[serde(borrow, default)]
    request_state: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Asked<'a> {
    method: String,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

impl Round {
    /// Reads a result.
    ///
    /// # Errors
    /// The result breaks the specification, or asks for what no legacy client can be asked for.
    pub(super) fn read(result: &Bytes) -> Result<Self, Failure> {
        let bad = |why: String| Failure::BadAnswer(format!("the result asks for input, but {why}"));
        let outside: Outside<'_> = serde_json::from_slice(result).map_err(|error| bad(error.to_string()))?;
        let members = outside.input_requests.unwrap_or_default().0;
        if members.is_empty() && outside.request_state.is_none() {
            return Err(bad("has neither inputRequests nor requestState".into()));
        }
        if members.len() > MAX_REQUESTS {
            return Err(bad(format!("has more than {MAX_REQUESTS} requests")));
        }
        let mut requests = Vec::with_capacity(members.len());
        for (key, raw) in members {
            let Asked { method, params } =
                serde_json::from_str(raw.get()).map_err(|error| bad(error.to_string()))?;
            if !ASKABLE.contains(&method.as_str()) {
                return Err(Failure::InputUnsupported { wanted: "input".into() });
            }
            let params = params.map(|params| Bytes::copy_from_slice(params.get().as_bytes()));
            requests.push((key, ClientRequest { method, params }));
        }
        Ok(Self { requests, state: outside.request_state.map(|raw| raw.get().to_owned()) })
    }

    /// Asks the client for everything, and waits for all answers. Returns `inputResponses` as JSON.
    ///
    /// # Errors
    /// The client lacks a capability, refuses with an error, or is gone.
    pub(super) async fn ask(
        &self,
        declared: Option<&[u8]>,
        exchange: &mut Exchange,
    ) -> Result<String, Failure> {
        let mut pending = Vec::with_capacity(self.requests.len());
        for (_, request) in &self.requests {
            let unsupported = |why: Failure| match why {
                Failure::MissingCapability { required } => {
                    Failure::InputUnsupported { wanted: format!("{} ({required})", request.method) }
                }
                other => other,
            };
            if declared.is_some() {
                capability::check(declared, &request.method, request.params.as_deref())
                    .map_err(unsupported)?;
            }
            pending.push(exchange.ask(request.clone()).map_err(unsupported)?);
        }
        let mut text = String::from("{");
        for ((key, request), answer) in self.requests.iter().zip(pending) {
            let comma = if text.len() > 1 { "," } else { "" };
            let key = serde_json::to_string(key).map_err(|_| Failure::Internal)?;
            match answer.await? {
                ClientAnswer::Result(result) => {
                    let _ = write!(text, "{comma}{key}:{}", String::from_utf8_lossy(&result));
                }
                // The modern era has no error in place of an answer: the call cannot go on.
                ClientAnswer::Error(error) => {
                    let said = message_in(&error).unwrap_or_default();
                    let method = &request.method;
                    return Err(Failure::InvalidParams(format!(
                        "the client answered {method} with an error: {said}"
                    )));
                }
            }
        }
        text.push('}');
        Ok(text)
    }
}

/// Returns a copy of a request, by which it can be sent again.
pub(super) fn copy(request: &Request) -> Request {
    Request {
        header: request.header.clone(),
        message: request.message.clone(),
        kind: request.kind,
        name: request.name.clone(),
        task_origin: request.task_origin.clone(),
        is_one_line: request.is_one_line,
        id: request.id.clone(),
        subject: request.subject.clone(),
        params: request.params.clone(),
        arguments: request.arguments.clone(),
        meta: request.meta.clone(),
        task: request.task.clone(),
        progress_token: request.progress_token.clone(),
        log_level: request.log_level,
        has_trace: request.has_trace,
        has_baggage: request.has_baggage,
        parent: request.parent.clone(),
        cancel_reason: request.cancel_reason.clone(),
    }
}

/// Returns the capabilities that a modern client declared on its request, as JSON.
pub(super) fn declared(request: &Request) -> Option<Bytes> {
    let members: Members<'_> = serde_json::from_slice(request.json(request.meta.as_ref()?)).ok()?;
    let (_, raw) = members.0.iter().find(|(key, _)| key == meta::CLIENT_CAPABILITIES)?;
    Some(request.message.slice(range_in(&request.message, raw)))
}

/// Returns a client's request with the answers that a modern backend asked for, all else as it stands. `responses` and `state` are JSON.
pub(super) fn with_answers(
    first: &Request,
    responses: &str,
    state: Option<&str>,
) -> Result<Request, Failure> {
    let params = first.params.clone().ok_or(Failure::Internal)?;
    let invalid = |error: serde_json::Error| Failure::InvalidParams(error.to_string());
    let mut object: Box<RawValue> = serde_json::from_slice(first.json(&params)).map_err(invalid)?;
    // To a legacy client these mean nothing; the backend gets ours.
    for key in ["inputResponses", "requestState"] {
        if let Some(left) = without(&object, key).map_err(invalid)? {
            object = left;
        }
    }
    let inside = object.get().strip_prefix('{').ok_or(Failure::Internal)?;
    let comma = if inside.trim_start().starts_with('}') { "" } else { "," };
    let state = state.map(|state| format!(r#","requestState":{state}"#)).unwrap_or_default();
    let params_text = format!(r#"{{"inputResponses":{responses}{state}{comma}{inside}"#);
    let message = [
        first.message.get(..params.start).unwrap_or_default(),
        params_text.as_bytes(),
        first.message.get(params.end..).unwrap_or_default(),
    ]
    .concat();
    let mut request = Request::parse(first.header.clone(), message.into())?;
    request.name.clone_from(&first.name);
    request.parent.clone_from(&first.parent);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use protocol::mcp::era::Era;

    use super::*;
    use crate::call::testing::request;

    #[test]
    fn a_retry_is_the_client_s_request_with_the_answers() {
        for (params, expected) in [
            (
                r#"{"name":"a","arguments":{"x":1e400,"requestState":1}}"#,
                r#"{"inputResponses":{"k":{}},"requestState":"s","name":"a","arguments":{"x":1e400,"requestState":1}}"#,
            ),
            (
                r#"{"requestState":"mine","name":"a","inputResponses":3}"#,
                r#"{"inputResponses":{"k":{}},"requestState":"s","name":"a"}"#,
            ),
        ] {
            let message = |params: &str| format!(r#"{{"id":"é","params":{params},"jsonrpc":"2.0"}}"#);
            let first = request(Era::Legacy, &message(params));
            let again = with_answers(&first, r#"{"k":{}}"#, Some(r#""s""#)).unwrap();
            assert_eq!(again.message, message(expected));
            assert_eq!((again.json(&again.id), again.name.as_str()), (r#""é""#.as_bytes(), "a"));
        }
    }

    #[test]
    fn a_round_is_read_as_the_backend_wrote_it_or_refused() {
        let read = |text: &'static str| Round::read(&Bytes::from_static(text.as_bytes()));
        let round = read(
            r#"{"inputRequests":{"b":{"method":"roots/list"},"a":{"method":"elicitation/create","params":{"n":1e400}}},"requestState":"\u0061"}"#,
        );
        let round = round.unwrap();
        assert_eq!(round.state.as_deref(), Some(r#""\u0061""#));
        let asked: Vec<_> = round.requests.iter().map(|(key, asked)| (key.as_str(), &asked.params)).collect();
        assert_eq!(asked, [("b", &None), ("a", &Some(Bytes::from_static(br#"{"n":1e400}"#)))]);
        assert!(read(r#"{"requestState":"x"}"#).unwrap().requests.is_empty());
        for (bad, kind) in [
            ("{}", "bad_answer"),
            (r#"{"inputRequests":{}}"#, "bad_answer"),
            (r#"{"inputRequests":[1]}"#, "bad_answer"),
            (r#"{"inputRequests":{"a":1}}"#, "bad_answer"),
            (r#"{"inputRequests":{"a":{"method":"tools/call"}}}"#, "input_unsupported"),
        ] {
            assert_eq!(read(bad).err().unwrap().spec().kind, kind, "{bad}");
        }
    }
}
