//! Rules of the modern era: metadata of each request, and headers that must agree with the body (2026-07-28,
//! Streamable HTTP, "Request Metadata" and "Server Validation"). Must not know what methods do.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName};
use protocol::mcp::envelope::Params;
use protocol::mcp::era::{Era, TASKS, Version, meta};
use protocol::mcp::failure::Failure;
use serde_json::value::RawValue;

use super::detect::VERSION;
use crate::http::header_value::{BadValue, decode, decode_value, single};
use crate::method::{Caller, truncate};
use crate::trace::Trace;

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const PARAM_PREFIX: &str = "mcp-param-";

/// Methods of the extension of tasks (SEP-2663).
const TASK_METHODS: [&str; 3] = ["tasks/get", "tasks/update", "tasks/cancel"];

/// Returns whether a client's capabilities, a JSON object, declare the extension of tasks.
fn has_tasks(capabilities: &str) -> bool {
    let declared: BTreeMap<String, Box<RawValue>> = serde_json::from_str(capabilities).unwrap_or_default();
    let extensions = declared.get("extensions").map_or("{}", |extensions| extensions.get());
    serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(extensions)
        .is_ok_and(|extensions| extensions.contains_key(TASKS))
}

/// Checks that the client of a request declares the extension of tasks.
pub(crate) fn require_tasks(params: &Params<'_>) -> Result<(), Failure> {
    let declared = params.meta.as_ref().and_then(|metadata| metadata.client_capabilities);
    if declared.is_some_and(|declared| has_tasks(declared.get())) {
        return Ok(());
    }
    Err(Failure::MissingCapability { required: format!(r#"{{"extensions":{{"{TASKS}":{{}}}}}}"#) })
}

/// Identifies the sender of a modern request whose metadata and headers are valid. Faults are reported in the order in
/// which a client can correct them.
pub(crate) fn caller(headers: &HeaderMap, method: &str, params: &Params<'_>) -> Result<Caller, Failure> {
    let missing = |key: &str| Failure::InvalidParams(format!("params._meta lacks {key:?}"));
    let Some(metadata) = params.meta.as_ref() else { return Err(missing(meta::PROTOCOL_VERSION)) };
    let Some(named) = metadata.protocol_version.as_ref() else { return Err(missing(meta::PROTOCOL_VERSION)) };
    check_header_matches(headers, &VERSION, named.as_str(), Ok)?;
    let version = Version::parse(named.as_str())
        .filter(|version| version.era() == Era::Modern)
        .ok_or_else(|| Failure::UnsupportedVersion { requested: truncate(named.as_str()) })?;
    match metadata.client_capabilities {
        None => return Err(missing(meta::CLIENT_CAPABILITIES)),
        Some(capabilities) if !capabilities.get().starts_with('{') => {
            return Err(Failure::InvalidParams(format!("{:?} must be an object", meta::CLIENT_CAPABILITIES)));
        }
        Some(_) => {}
    }
    check_header_matches(headers, &METHOD, method, Ok)?;
    let source = match method {
        "tools/call" | "prompts/get" => params.name.as_ref(),
        "resources/read" => params.uri.as_ref(),
        _ => None,
    };
    let is_task = TASK_METHODS.contains(&method);
    // The extension lets clients leave the name of a task out of the headers.
    let source = source.or_else(|| params.task_id.as_ref().filter(|_| is_task && headers.contains_key(NAME)));
    if let Some(source) = source {
        check_header_matches(headers, &NAME, source.as_str(), |value| decode(value).map(Cow::into_owned))?;
    }
    if is_task {
        require_tasks(params)?;
    }
    let param_headers = param_headers(headers)?;
    Ok(Caller {
        era: Era::Modern,
        version,
        session: None,
        capabilities: None,
        place: None,
        param_headers,
        trace: Trace::from_headers(headers),
    })
}

/// Checks that a header says what the body says. `read` decodes the header's text.
fn check_header_matches<'a, T: PartialEq<&'a str> + AsRef<str>>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    body: &'a str,
    read: impl FnOnce(&'a str) -> Result<T, BadValue>,
) -> Result<(), Failure> {
    // Nearly every request repeats the body's text unencoded. A text in the Base64 form is always decoded.
    let mut values = headers.get_all(name).iter();
    if let (Some(value), None) = (values.next(), values.next())
        && value.as_bytes() == body.as_bytes()
        && !body.starts_with("=?")
    {
        return Ok(());
    }
    let mismatch = |reason: String| Err(Failure::HeaderMismatch(reason));
    let value = match single(headers, name) {
        Ok(Some(value)) => read(value),
        Ok(None) => return mismatch(format!("the {name} header is missing")),
        Err(bad) => Err(bad),
    };
    match value {
        Ok(value) if value == body => Ok(()),
        Ok(value) => {
            let (header, body) = (truncate(value.as_ref()), truncate(body));
            mismatch(format!("{name} is {header:?}, the body says {body:?}"))
        }
        Err(bad) => mismatch(format!("{name} {}", bad.reason())),
    }
}

/// Returns the decoded `Mcp-Param-*` headers. Whether a tool has such parameters is checked by the slave.
fn param_headers(headers: &HeaderMap) -> Result<BTreeMap<String, String>, Failure> {
    let mut decoded = BTreeMap::new();
    for (name, value) in headers {
        let Some(parameter) = name.as_str().strip_prefix(PARAM_PREFIX) else { continue };
        let fault = |reason: &str| Failure::HeaderMismatch(format!("{name} {reason}"));
        let value = decode_value(value).map_err(|bad| fault(bad.reason()))?;
        if decoded.insert(parameter.to_owned(), value.into_owned()).is_some() {
            return Err(fault(BadValue::Repeated.reason()));
        }
    }
    Ok(decoded)
}
