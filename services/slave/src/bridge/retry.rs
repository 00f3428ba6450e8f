//! A client's request as the bridge reads it: what binds a parked call to it, and whether it goes on with one. Must not know parked calls.

use bytes::Bytes;
use protocol::link::header::CallHeader;
use protocol::mcp::canonical::canonical;
use protocol::mcp::era::{Era, meta};
use protocol::mcp::failure::Failure;
use protocol::mcp::members::Members;
use protocol::mcp::request_state::has_state;
use protocol::mcp::splice::range_in;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::input::Wishes;
use super::seal::PREFIX;

/// Digest of what a request asks for: method, name and arguments, whatever their spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestDigest([u8; 32]);

/// A request that goes on with a parked call of some process of ours.
#[derive(Debug)]
pub(crate) struct Retry {
    /// The state that the client got, without a label.
    pub(super) state: String,
    /// The answers by key, as JSON.
    pub(super) responses: Vec<(String, Bytes)>,
    pub(super) asking: AskingRequest,
}

/// What a request says of itself.
#[derive(Clone, Debug)]
pub(super) struct AskingRequest {
    pub(super) digest: RequestDigest,
    /// Capabilities of the client, as JSON.
    pub(super) capabilities: Option<Bytes>,
    pub(super) wishes: Wishes,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    uri: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    request_state: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input_responses: Option<&'a RawValue>,
    #[serde(rename = "_meta", borrow, default)]
    meta: Option<Members<'a>>,
}

/// The request whose client may be asked. It is read only when the backend asks: few do, and to read a large request costs as much as all
/// else that is done with it.
#[derive(Debug)]
pub(super) enum ReaderRequest {
    Unread { method: String, message: Bytes },
    Read(AskingRequest),
}

impl ReaderRequest {
    /// Keeps the request that a call begins with.
    pub(super) fn of(header: &CallHeader, message: &Bytes) -> Self {
        Self::Unread { method: header.method.clone(), message: message.clone() }
    }

    /// Returns what the request says of itself; `None` where it cannot be read.
    pub(super) fn read(&mut self) -> Option<&AskingRequest> {
        if let Self::Unread { method, message } = self {
            *self = Self::Read(AskingRequest::of(method, message)?);
        }
        match self {
            Self::Read(request) => Some(request),
            Self::Unread { .. } => None,
        }
    }
}

impl Retry {
    /// Reads a request; `None` where it goes on with no parked call. Costs a search of the message where it has no state.
    ///
    /// # Errors
    /// The answers are not an object of objects.
    pub(crate) fn of(header: &CallHeader, message: &Bytes) -> Result<Option<Self>, Failure> {
        if header.era == Era::Legacy || !has_state(message) {
            return Ok(None);
        }
        let Ok(Message { params }) = serde_json::from_slice::<Message<'_>>(message) else { return Ok(None) };
        let state = params.request_state.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let Some(state) = state.filter(|state| state.starts_with(PREFIX)) else { return Ok(None) };
        let responses = match params.input_responses {
            Some(raw) => read_responses(message, raw)?,
            None => Vec::new(),
        };
        let asking = AskingRequest::read(&header.method, message, &params);
        Ok(Some(Self { state, responses, asking }))
    }
}

fn read_responses(message: &Bytes, raw: &RawValue) -> Result<Vec<(String, Bytes)>, Failure> {
    let invalid = || {
        Failure::InvalidParams(
            "\"inputResponses\" must be an object with one object for each key of \"inputRequests\"".into(),
        )
    };
    // serde reads null as no members.
    let members: Members<'_> = serde_json::from_str(raw.get()).map_err(|_| invalid())?;
    if members.0.iter().any(|(_, value)| !value.get().starts_with('{')) {
        return Err(invalid());
    }
    // The text stands in the message: answers are slices of it.
    let offset = range_in(message, raw).start;
    let slice = |value: &RawValue| {
        let range = range_in(raw.get().as_bytes(), value);
        message.slice(offset + range.start..offset + range.end)
    };
    Ok(members.0.iter().map(|(key, value)| (key.clone(), slice(value))).collect())
}

impl AskingRequest {
    /// Reads a client's request.
    fn of(method: &str, message: &Bytes) -> Option<Self> {
        let Message { params } = serde_json::from_slice(message).ok()?;
        Some(Self::read(method, message, &params))
    }

    fn read(method: &str, message: &Bytes, params: &Params<'_>) -> Self {
        let member = |key: &str| {
            let found = params.meta.iter().flat_map(|meta| &meta.0).find(|(name, _)| name == key);
            found.map(|(_, raw)| message.slice(range_in(message, raw)))
        };
        let wishes = Wishes { token: member("progressToken"), logs: member(meta::LOG_LEVEL).is_some() };
        let digest = RequestDigest::of(method, params);
        Self { digest, capabilities: member(meta::CLIENT_CAPABILITIES), wishes }
    }
}

impl RequestDigest {
    fn of(method: &str, params: &Params<'_>) -> Self {
        let mut digest = Sha256::new();
        let mut add = |text: &str| {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        };
        add(method);
        for part in [params.name, params.uri, params.arguments] {
            match part {
                // What has no canonical form must come back as it was.
                Some(raw) => add(&canonical(raw).unwrap_or_else(|| raw.get().to_owned())),
                None => add(""),
            }
        }
        Self(digest.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::testing::header;

    fn digest(params: &str) -> RequestDigest {
        let message = Bytes::from(format!(r#"{{"id":1,"params":{params}}}"#));
        ReaderRequest::of(&header(Era::Modern), &message).read().unwrap().digest
    }

    #[test]
    fn the_digest_is_of_what_is_asked_for_and_not_of_its_spelling() {
        let first = digest(r#"{"name":"a","arguments":{"x":1,"y":[true]}}"#);
        for same in [
            r#"{"arguments":{"y":[ true ],"x":1},"name":"a","inputResponses":{},"requestState":"s"}"#,
            r#"{"name":"\u0061","arguments":{"x":1,"y":[true]},"_meta":{"progressToken":2}}"#,
        ] {
            assert_eq!(digest(same), first, "{same}");
        }
        for other in [
            r#"{"name":"b","arguments":{"x":1,"y":[true]}}"#,
            r#"{"name":"a","arguments":{"x":2,"y":[true]}}"#,
            r#"{"name":"a","arguments":{"x":9007199254740993,"y":[true]}}"#,
            r#"{"name":"a"}"#,
            r#"{"uri":"a","arguments":{"x":1,"y":[true]}}"#,
        ] {
            assert_ne!(digest(other), first, "{other}");
        }
    }

    fn read(message: &'static str) -> Result<Option<Retry>, Failure> {
        Retry::of(&header(Era::Modern), &Bytes::from_static(message.as_bytes()))
    }

    #[test]
    fn a_retry_is_known_by_its_state_and_its_answers_are_as_the_client_wrote_them() {
        let retry = read(
            r#"{"id":1,"params":{"name":"a","requestState":"mrp1.x","inputResponses": {"1" : {"b":1e400 },"2":{"c":"\ud83d"}},"_meta":{"progressToken":"t"}}}"#,
        );
        let retry = retry.unwrap().unwrap();
        assert_eq!(retry.state, "mrp1.x");
        let responses = [("1", r#"{"b":1e400 }"#), ("2", r#"{"c":"\ud83d"}"#)];
        let got: Vec<(&str, &str)> = retry
            .responses
            .iter()
            .map(|(key, value)| (key.as_str(), std::str::from_utf8(value).unwrap()))
            .collect();
        assert_eq!(got, responses);
        assert_eq!(retry.asking.wishes.token.unwrap(), r#""t""#);
        for none in [
            r#"{"id":1,"params":{"name":"a"}}"#,
            r#"{"id":1,"params":{"requestState":"other"}}"#,
            r#"{"id":1,"params":{"requestState":1}}"#,
            r#"{"id":1,"params":{"arguments":{"requestState":"mrp1.x"}}}"#,
        ] {
            assert!(read(none).unwrap().is_none(), "{none}");
        }
        for bad in [
            r#"{"id":1,"params":{"requestState":"mrp1.x","inputResponses":[]}}"#,
            r#"{"id":1,"params":{"requestState":"mrp1.x","inputResponses":{"1":2}}}"#,
        ] {
            assert!(matches!(read(bad), Err(Failure::InvalidParams(_))), "{bad}");
        }
    }
}
