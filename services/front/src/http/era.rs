//! Which era a message is of, by its metadata first, and the rules for headers that come with it.
//!
//! 2026-07-28: Versioning, "Backward Compatibility"; Streamable HTTP, "Request Metadata" and "Server Validation".
//! 2025-11-25: Transports, "Session Management" and "Protocol Version Header". Must not know what methods do.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName};
use protocol::mcp::envelope::{Params, Text};
use protocol::mcp::era::{Era, Version, meta};
use protocol::mcp::failure::Failure;

use super::reply::SESSION_ID;
use super::value::{BadValue, decode, decode_value, single};
use crate::edge::{Edge, now};
use crate::keys::Principal;
use crate::method::{Caller, cut};
use crate::session::Session;
use crate::trace::Trace;

/// `MCP-Protocol-Version`.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const PARAM: &str = "mcp-param-";
/// Decoded bytes of all `Mcp-Param-*` headers of a request, at most: they travel in the call header.
const PARAM_BYTES: usize = 4096;

/// The era of what has no metadata or could not be read, by the version header alone. An unknown version is left to
/// [`legacy`], which refuses it.
pub(crate) fn era_by_header(headers: &HeaderMap) -> Era {
    let named = single(headers, &VERSION).ok().flatten().and_then(Version::parse);
    named.map_or(Era::Legacy, Version::era)
}

/// The era of a request. A broken version header is left to the rules of the era.
pub(crate) fn era_of(headers: &HeaderMap, method: &str, params: &Params<'_>) -> Era {
    let by_header = single(headers, &VERSION).ok().flatten().and_then(Version::parse).map(Version::era);
    let metadata = params.meta.as_ref();
    let by_meta = metadata.and_then(|m| m.protocol_version.as_ref()).map(Text::as_str).map(Version::parse);
    let has_capabilities = metadata.is_some_and(|m| m.client_capabilities.is_some());
    match (by_meta, by_header) {
        // A date of the past in the metadata does not make a legacy request modern.
        (Some(Some(version)), by_header)
            if version.era() == Era::Legacy && by_header != Some(Era::Modern) =>
        {
            Era::Legacy
        }
        (Some(_), _) => Era::Modern,
        (None, _) if has_capabilities => Era::Modern,
        // `initialize` without modern metadata is a legacy handshake whatever the header says.
        (None, Some(Era::Modern)) if method != "initialize" => Era::Modern,
        (None, None) if method == "server/discover" => Era::Modern,
        _ => Era::Legacy,
    }
}

/// Who sends a modern request, if its metadata and headers are in order. The order of the checks is that in which a
/// client can correct what they find.
pub(crate) fn modern(headers: &HeaderMap, method: &str, params: &Params<'_>) -> Result<Caller, Failure> {
    let missing = |key: &str| Failure::InvalidParams(format!("params._meta lacks {key:?}"));
    let Some(metadata) = params.meta.as_ref() else { return Err(missing(meta::PROTOCOL_VERSION)) };
    let Some(named) = metadata.protocol_version.as_ref() else { return Err(missing(meta::PROTOCOL_VERSION)) };
    same(headers, &VERSION, named.as_str(), Ok)?;
    let version = Version::parse(named.as_str())
        .filter(|version| version.era() == Era::Modern)
        .ok_or_else(|| Failure::UnsupportedVersion { requested: cut(named.as_str()) })?;
    match metadata.client_capabilities {
        None => return Err(missing(meta::CLIENT_CAPABILITIES)),
        Some(capabilities) if !capabilities.get().starts_with('{') => {
            return Err(Failure::InvalidParams(format!("{:?} must be an object", meta::CLIENT_CAPABILITIES)));
        }
        Some(_) => {}
    }
    same(headers, &METHOD, method, Ok)?;
    let source = match method {
        "tools/call" | "prompts/get" => params.name.as_ref(),
        "resources/read" => params.uri.as_ref(),
        _ => None,
    };
    if let Some(source) = source {
        same(headers, &NAME, source.as_str(), |value| decode(value).map(std::borrow::Cow::into_owned))?;
    }
    let param_headers = param_headers(headers)?;
    Ok(Caller {
        era: Era::Modern,
        version,
        session: None,
        param_headers,
        trace: Trace::from_headers(headers),
    })
}

/// Holds a header against what the body says.
fn same<'a, T: PartialEq<&'a str> + AsRef<str>>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    body: &'a str,
    read: impl FnOnce(&'a str) -> Result<T, BadValue>,
) -> Result<(), Failure> {
    // What nearly every request has: the body's text as it stands. Such text never is in the Base64 form.
    let mut values = headers.get_all(name).iter();
    if let (Some(value), None) = (values.next(), values.next())
        && value.as_bytes() == body.as_bytes()
        && !body.starts_with("=?")
    {
        return Ok(());
    }
    let mismatch = |what: String| Err(Failure::HeaderMismatch(what));
    let value = match single(headers, name) {
        Ok(Some(value)) => read(value),
        Ok(None) => return mismatch(format!("the {name} header is missing")),
        Err(bad) => Err(bad),
    };
    match value {
        Ok(value) if value == body => Ok(()),
        Ok(value) => mismatch(format!("{name} is {:?}, the body says {:?}", cut(value.as_ref()), cut(body))),
        Err(bad) => mismatch(format!("{name} {}", bad.reason())),
    }
}

/// The decoded `Mcp-Param-*` headers. Whether a tool has such parameters is for the slave to know.
fn param_headers(headers: &HeaderMap) -> Result<BTreeMap<String, String>, Failure> {
    let mut found = BTreeMap::new();
    let mut room = PARAM_BYTES;
    for (name, value) in headers {
        let Some(parameter) = name.as_str().strip_prefix(PARAM) else { continue };
        let fault = |reason: &str| Failure::HeaderMismatch(format!("{name} {reason}"));
        let value = decode_value(value).map_err(|bad| fault(bad.reason()))?;
        room = room.checked_sub(parameter.len() + value.len()).ok_or_else(|| {
            Failure::HeaderMismatch(format!("more than {PARAM_BYTES} bytes of Mcp-Param headers"))
        })?;
        if found.insert(parameter.to_owned(), value.into_owned()).is_some() {
            return Err(fault(BadValue::Twice.reason()));
        }
    }
    Ok(found)
}

/// Who sends a legacy message: its session, if it names one, and its version.
pub(crate) fn legacy<C>(edge: &Edge<C>, headers: &HeaderMap, who: &Principal) -> Result<Caller, Failure> {
    let session = session(edge, headers, who)?;
    let version = match single(headers, &VERSION) {
        Ok(None) => session.as_ref().map_or(Version::UNNAMED, |session| session.version),
        Ok(Some(named)) => Version::parse(named)
            .filter(|version| version.era() == Era::Legacy)
            .ok_or_else(|| Failure::UnsupportedVersion { requested: cut(named) })?,
        Err(bad) => return Err(Failure::InvalidRequest(format!("{VERSION} {}", bad.reason()))),
    };
    let session = session.map(|session| session.key());
    Ok(Caller {
        era: Era::Legacy,
        version,
        session,
        param_headers: BTreeMap::new(),
        trace: Trace::from_headers(headers),
    })
}

/// Who sends `initialize`: nobody yet. Session and version headers are for what comes after it.
pub(crate) fn newcomer(headers: &HeaderMap) -> Caller {
    let param_headers = BTreeMap::new();
    Caller {
        era: Era::Legacy,
        version: Version::UNNAMED,
        session: None,
        param_headers,
        trace: Trace::from_headers(headers),
    }
}

/// The session that a message names. Clients of the existing server name none: that is accepted.
pub(crate) fn session<C>(
    edge: &Edge<C>,
    headers: &HeaderMap,
    who: &Principal,
) -> Result<Option<Session>, Failure> {
    let Some(token) = headers.get(SESSION_ID) else { return Ok(None) };
    let (token, now) = (token.as_bytes(), now());
    let session = if let Some(session) = edge.recent.find(token, who, now) {
        session
    } else {
        let session = edge.sealer.open(token, who, now).ok_or(Failure::SessionNotFound)?;
        edge.recent.keep(token, *who, &session);
        session
    };
    if edge.ended.has(&session) { Err(Failure::SessionNotFound) } else { Ok(Some(session)) }
}
