//! Error objects of backends in the form of the other era: codes that one of them has and the other lacks (docs/ERAS.md). Must not know
//! calls.

use std::fmt::Write as _;

use bytes::Bytes;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use protocol::mcp::splice::{range_in, replace};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{MAY_REQUIRE_INPUT, capability};

/// Resource not found, until 2025-11-25.
const LEGACY_NOT_FOUND: &str = "-32002";
/// The same from 2026-07-28 on, beside other invalid parameters.
const INVALID_PARAMS: &str = "-32602";
/// URL elicitation required (2025-11-25 only).
const URL_ELICITATION: &str = "-32042";

/// A backend's error for a client of the other era.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Adapted {
    /// An error object.
    Error(Bytes),
    /// A result that asks for input in its place.
    InputRequired(Bytes),
}

#[derive(Deserialize)]
struct ErrorObject<'a> {
    #[serde(borrow)]
    code: &'a RawValue,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Returns an error object of a backend for a client of the other era; `backend` is the backend's. `capabilities` are a modern client's.
///
/// # Errors
/// The modern client lacks the capability that a URL elicitation needs.
pub(super) fn adapt(
    error: Bytes,
    backend: Era,
    method: &str,
    capabilities: Option<&[u8]>,
) -> Result<Adapted, Failure> {
    let Ok(ErrorObject { code, data }) = serde_json::from_slice::<ErrorObject<'_>>(&error) else {
        return Ok(Adapted::Error(error));
    };
    let with_code = |with: &str| replace(&error, range_in(&error, code), with.as_bytes());
    Ok(match (backend, code.get()) {
        (Era::Legacy, LEGACY_NOT_FOUND) => Adapted::Error(with_code(INVALID_PARAMS)),
        (Era::Legacy, URL_ELICITATION) => match data.and_then(elicitations) {
            Some(requests) if MAY_REQUIRE_INPUT.contains(&method) => {
                capability::check(capabilities, "elicitation/create", Some(br#"{"mode":"url"}"#))?;
                Adapted::InputRequired(requests.into())
            }
            _ => Adapted::Error(with_code(INVALID_PARAMS)),
        },
        (Era::Modern, INVALID_PARAMS) if method == "resources/read" && data.is_some_and(names_resource) => {
            Adapted::Error(with_code(LEGACY_NOT_FOUND))
        }
        _ => Adapted::Error(error),
    })
}

/// Returns whether an error's data name a resource, as those of a resource that is not there do.
fn names_resource(data: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "uri")]
        _uri: String,
    }
    serde_json::from_str::<Data>(data.get()).is_ok()
}

/// Returns the result that asks for the elicitations of an error. It has no state: the client's retry begins anew, as in the legacy era.
fn elicitations(data: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        elicitations: Vec<&'a RawValue>,
    }
    let Data { elicitations } = serde_json::from_str(data.get()).ok()?;
    if elicitations.is_empty() || !elicitations.iter().all(|one| one.get().starts_with('{')) {
        return None;
    }
    let mut text = String::from(r#"{"resultType":"input_required","inputRequests":{"#);
    for (at, params) in elicitations.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}"url-{}":{{"method":"elicitation/create","params":{}}}"#,
            at + 1,
            params.get()
        );
    }
    text.push_str("}}");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = r#"{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","url":"https://x","elicitationId":"1","n":1e400}]}}"#;

    fn adapted(error: &'static str, backend: Era, method: &str) -> Adapted {
        let able = br#"{"elicitation":{"url":{}}}"#;
        adapt(Bytes::from_static(error.as_bytes()), backend, method, Some(able)).unwrap()
    }

    #[test]
    fn each_era_gets_its_own_codes_and_all_else_as_it_stands() {
        for (error, backend, method, expected) in [
            (
                r#"{"n":1e400,"code":-32002,"message":"x"}"#,
                Era::Legacy,
                "resources/read",
                r#"{"n":1e400,"code":-32602,"message":"x"}"#,
            ),
            (
                r#"{"code":-32002,"message":"x"}"#,
                Era::Legacy,
                "prompts/get",
                r#"{"code":-32602,"message":"x"}"#,
            ),
            (
                r#"{"code":-32602,"message":"x","data":{"uri":"f"}}"#,
                Era::Modern,
                "resources/read",
                r#"{"code":-32002,"message":"x","data":{"uri":"f"}}"#,
            ),
            (
                r#"{"code":-32602,"message":"x"}"#,
                Era::Modern,
                "resources/read",
                r#"{"code":-32602,"message":"x"}"#,
            ),
            (
                r#"{"code":-32602,"message":"x","data":{"uri":"f"}}"#,
                Era::Modern,
                "tools/call",
                r#"{"code":-32602,"message":"x","data":{"uri":"f"}}"#,
            ),
            (
                r#"{"code":-32602,"message":"x","data":{"uri":"f"}}"#,
                Era::Legacy,
                "resources/read",
                r#"{"code":-32602,"message":"x","data":{"uri":"f"}}"#,
            ),
            (
                r#"{"code":-32042,"message":"x"}"#,
                Era::Legacy,
                "tools/call",
                r#"{"code":-32602,"message":"x"}"#,
            ),
            ("[1]", Era::Legacy, "tools/call", "[1]"),
        ] {
            let expected = Adapted::Error(Bytes::from_static(expected.as_bytes()));
            assert_eq!(adapted(error, backend, method), expected, "{error}");
        }
    }

    #[test]
    fn a_url_that_is_required_is_asked_for() {
        let expected = r#"{"resultType":"input_required","inputRequests":{"url-1":{"method":"elicitation/create","params":{"mode":"url","url":"https://x","elicitationId":"1","n":1e400}}}}"#;
        let expected = Adapted::InputRequired(Bytes::from_static(expected.as_bytes()));
        assert_eq!(adapted(URL, Era::Legacy, "tools/call"), expected);
        assert!(matches!(adapted(URL, Era::Legacy, "completion/complete"), Adapted::Error(_)));
        let unable = adapt(Bytes::from_static(URL.as_bytes()), Era::Legacy, "tools/call", Some(b"{}"));
        assert!(matches!(unable, Err(Failure::MissingCapability { .. })));
    }
}
