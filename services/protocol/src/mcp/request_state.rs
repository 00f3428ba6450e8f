//! Label in front of a `requestState` (MCP 2026-07-28, "Multi Round-Trip Requests"), by which any proxy of a fleet finds the slave
//! that gave it out (docs/PROTOCOL.md, "requestState").
//!
//! What a backend wrote follows the label unaltered. Must not know slaves, or how a label is made.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::mcp::object::Object;
use crate::mcp::splice::{range_in, replace};

/// First characters of every label.
const PREFIX: &str = "mr2.";

/// Hex digits of each part.
const PART: usize = 16;

/// Length of a label, in characters.
pub const LABEL_LENGTH: usize = PREFIX.len() + 2 * (PART + 1);

/// Longest text that a slave takes for a label, in bytes.
pub const MAX_LABEL: usize = 128;

/// Member of a result and of `params`.
const REQUEST_STATE: &[u8] = b"\"requestState\"";

/// Label of one slave process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateLabel {
    /// Digest of the process's instance.
    pub process: u64,
    /// Keyed digest of the process's identity.
    pub identity: u64,
}

/// Returns the digest of a slave process's instance, which does not show the instance to clients.
pub fn process_digest(instance: &str) -> u64 {
    let digest = Sha256::new().chain_update(b"mcp-relay state 2\n").chain_update(instance).finalize();
    digest.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

impl fmt::Display for StateLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:016x}.{:016x}.", self.process, self.identity)
    }
}

impl StateLabel {
    /// Returns what all labels of a process begin with, whichever key they were made with.
    pub fn beginning(process: u64) -> String {
        format!("{PREFIX}{process:016x}.")
    }

    /// Reads the label at the start of a text; `None` where there is none.
    pub fn at_start(text: &[u8]) -> Option<Self> {
        let label = std::str::from_utf8(text.get(..LABEL_LENGTH)?).ok()?;
        let (process, rest) = label.strip_prefix(PREFIX)?.split_at_checked(PART)?;
        let (identity, end) = rest.strip_prefix('.')?.split_at_checked(PART)?;
        let part = |text: &str| {
            let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()
        };
        (end == ".").then_some(Self { process: part(process)?, identity: part(identity)? })
    }
}

/// What a request says of its `requestState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestState {
    /// The request has none.
    #[default]
    Absent,
    /// It has one without a label.
    Bare,
    /// It has one with this label.
    Labelled(StateLabel),
}

/// `requestState` is there and no string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("params.requestState is not a string")]
pub struct NotAString;

impl RequestState {
    /// Reads the value of `params.requestState`.
    ///
    /// # Errors
    /// The value is no string.
    pub fn of(value: Option<&RawValue>) -> Result<Self, NotAString> {
        let Some(value) = value else { return Ok(Self::Absent) };
        let inside = value.get().strip_prefix('"').ok_or(NotAString)?.as_bytes();
        // A client may write any character as an escape.
        let head: Cow<'_, [u8]> = match inside.get(..LABEL_LENGTH) {
            Some(head) if memchr::memchr(b'\\', head).is_none() => head.into(),
            _ => serde_json::from_str::<String>(value.get()).unwrap_or_default().into_bytes().into(),
        };
        Ok(StateLabel::at_start(&head).map_or(Self::Bare, Self::Labelled))
    }

    /// Reads what is given back in the same way as a state, say the id of a task.
    pub fn of_text(text: &str) -> Self {
        StateLabel::at_start(text.as_bytes()).map_or(Self::Bare, Self::Labelled)
    }
}

/// Returns whether a text may be put in front of a `requestState`: it needs no escapes and is not too long.
pub fn is_label(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_LABEL).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Returns whether a result or a request may have a `requestState`: searching costs a tenth of reading.
pub fn has_state(json: &[u8]) -> bool {
    static FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(REQUEST_STATE));
    FINDER.find(json).is_some()
}

/// Returns the result with the label in front of its `requestState`, if it asks the client for input and has one; all else as it
/// stands.
pub fn with_label(result: Bytes, label: &str) -> Bytes {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Outside<'a> {
        #[serde(borrow, default)]
        request_state: Option<&'a RawValue>,
    }
    if !has_state(&result) {
        return result;
    }
    let Ok(Object(Outside { request_state: Some(state) })) = serde_json::from_slice(&result) else {
        return result;
    };
    let range = range_in(&result, state);
    if !state.get().starts_with('"') || range.is_empty() {
        return result;
    }
    replace(&result, range.start + 1..range.start + 1, label.as_bytes())
}

/// Returns the request without the first `length` characters of its `params.requestState`, all else as it stands; `None` where there
/// are not as many.
pub fn without_label(message: &Bytes, length: usize) -> Option<Bytes> {
    #[derive(Deserialize)]
    struct Outside<'a> {
        #[serde(borrow)]
        params: Object<Params<'a>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        #[serde(borrow)]
        request_state: &'a RawValue,
    }
    let Object(Outside { params: Object(Params { request_state }) }) =
        serde_json::from_slice(message).ok()?;
    let range = range_in(message, request_state);
    let inside = request_state.get().strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let head = inside.get(..length);
    if head.is_some_and(|head| head.is_ascii() && memchr::memchr(b'\\', head).is_none()) {
        return Some(replace(message, range.start + 1..range.start + 1 + length, b""));
    }
    let text: String = serde_json::from_str(request_state.get()).ok()?;
    let rest: String = text.char_indices().nth(length).map_or_else(
        || (text.chars().count() == length).then(String::new),
        |(at, _)| text.get(at..).map(str::to_owned),
    )?;
    Some(replace(message, range, serde_json::to_string(&rest).ok()?.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LABEL: StateLabel = StateLabel { process: 0x1234, identity: u64::MAX };

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn request(state: &str) -> Bytes {
        format!(r#"{{"id":1,"params":{{"a": 1e400, "requestState" : {state}, "b":"\ud83d"}}}}"#).into()
    }

    #[test]
    fn a_label_is_read_where_a_client_wrote_it_in_any_way() {
        let text = LABEL.to_string();
        assert_eq!((text.len(), is_label(&text)), (LABEL_LENGTH, true));
        let escaped = format!("\\u006d{}", &text[1..]);
        for state in [format!(r#""{text}""#), format!(r#""{text}\ud83d""#), format!(r#""{escaped}x""#)] {
            assert_eq!(RequestState::of(Some(&raw(&state))), Ok(RequestState::Labelled(LABEL)), "{state}");
        }
        assert_eq!(RequestState::of(None), Ok(RequestState::Absent));
        for bare in [
            r#""""#.to_owned(),
            r#""mr2.""#.to_owned(),
            format!(r#""x{text}""#),
            format!(r#""{}""#, text.to_uppercase()),
            format!(r#""{}""#, &text[..LABEL_LENGTH - 1]),
            format!(r#""{}""#, text.replace('.', "-")),
            format!(r#""{}""#, text.replace("ffff", "+fff")),
            format!(r#""{}""#, "é".repeat(40)),
        ] {
            assert_eq!(RequestState::of(Some(&raw(&bare))), Ok(RequestState::Bare), "{bare}");
        }
        for other in ["1", "null", "{}", "[\"x\"]"] {
            assert_eq!(RequestState::of(Some(&raw(other))), Err(NotAString), "{other}");
        }
    }

    #[test]
    fn only_the_outermost_state_of_a_result_gets_the_label() {
        for (result, labelled) in [
            (r#"{"a":1.0, "requestState": "\ud83dx" }"#, r#"{"a":1.0, "requestState": "L\ud83dx" }"#),
            (r#"{"requestState":""}"#, r#"{"requestState":"L"}"#),
            (r#"{"a":{"requestState":"x"}}"#, r#"{"a":{"requestState":"x"}}"#),
            (r#"{"requestState":1}"#, r#"{"requestState":1}"#),
            (r#"{"content":[]}"#, r#"{"content":[]}"#),
            (r#"["requestState"]"#, r#"["requestState"]"#),
        ] {
            assert_eq!(with_label(Bytes::from_static(result.as_bytes()), "L"), labelled);
        }
    }

    #[test]
    fn a_request_loses_the_label_and_nothing_else() {
        for (state, left) in
            [(r#""ab\ud83d""#, r#""\ud83d""#), (r#""ab""#, r#""""#), (r#""\u0061bc""#, r#""c""#)]
        {
            assert_eq!(without_label(&request(state), 2), Some(request(left)), "{state}");
        }
        for other in ["\"a\"", "1", "null"] {
            assert_eq!(without_label(&request(other), 2), None, "{other}");
        }
        assert_eq!(without_label(&Bytes::from_static(b"{}"), 2), None);
    }

    #[test]
    fn a_label_needs_no_escapes() {
        for other in ["", "a b", "\"", "\\", "é", &"x".repeat(MAX_LABEL + 1)] {
            assert!(!is_label(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_a_backend_gave_out_comes_back(state in ".{0,60}", process: u64, identity: u64) {
            let label = StateLabel { process, identity };
            let json = serde_json::to_string(&state).unwrap();
            let out = with_label(format!(r#"{{"requestState":{json}}}"#).into(), &label.to_string());
            let text = std::str::from_utf8(&out).unwrap().strip_prefix(r#"{"requestState":"#).unwrap();
            let given = text.strip_suffix('}').unwrap();
            prop_assert_eq!(RequestState::of(Some(&raw(given))), Ok(RequestState::Labelled(label)));
            prop_assert_eq!(without_label(&request(given), LABEL_LENGTH), Some(request(&json)));
        }
    }
}
