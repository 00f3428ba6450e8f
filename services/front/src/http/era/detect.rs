//! Decides which era a message is of: by its metadata first, then by the version header (2026-07-28, Versioning,
//! "Backward Compatibility"). Must not check whether the message keeps that era's rules.

use axum::http::{HeaderMap, HeaderName};
use protocol::mcp::envelope::{Params, Text};
use protocol::mcp::era::{Era, Version};

use crate::http::header_value::single;

/// `MCP-Protocol-Version`.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// Returns the era of a message without metadata, or of one that could not be read: the version header decides. An
/// unknown version counts as legacy, whose rules refuse it.
pub(crate) fn era_by_header(headers: &HeaderMap) -> Era {
    header_era(headers).unwrap_or(Era::Legacy)
}

/// Returns the era of a message. A malformed version header is left to the rules of the era.
pub(crate) fn era_of(headers: &HeaderMap, method: &str, params: &Params<'_>) -> Era {
    let by_header = header_era(headers);
    let metadata = params.meta.as_ref();
    let by_meta = metadata.and_then(|m| m.protocol_version.as_ref()).map(Text::as_str).map(Version::parse);
    let has_capabilities = metadata.is_some_and(|m| m.client_capabilities.is_some());
    match (by_meta, by_header) {
        // A legacy version in the metadata does not make a legacy request modern.
        (Some(Some(version)), by_header)
            if version.era() == Era::Legacy && by_header != Some(Era::Modern) =>
        {
            Era::Legacy
        }
        (Some(_), _) => Era::Modern,
        (None, _) if has_capabilities => Era::Modern,
        // `initialize` without modern metadata is a legacy handshake, whatever the header says.
        (None, Some(Era::Modern)) if method != "initialize" => Era::Modern,
        (None, None) if method == "server/discover" => Era::Modern,
        _ => Era::Legacy,
    }
}

/// Returns the era of the version in the header, if the header names exactly one known version.
fn header_era(headers: &HeaderMap) -> Option<Era> {
    single(headers, &VERSION).ok().flatten().and_then(Version::parse).map(Version::era)
}
