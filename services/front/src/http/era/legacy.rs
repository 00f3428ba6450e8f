//! Rules of the legacy era: sessions and the version header (2025-11-25, Transports, "Session Management" and
//! "Protocol Version Header"). Must not know what methods do.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;

use super::detect::VERSION;
use crate::edge::unix_now;
use crate::http::context::RequestContext;
use crate::http::header_value::single;
use crate::http::response::SESSION_ID;
use crate::method::{Caller, truncate};
use crate::session::Session;
use crate::trace::Trace;

/// Identifies the sender of a legacy message: its session, if it names one, and its version.
pub(crate) fn caller<C>(context: &RequestContext<'_, C>) -> Result<Caller, Failure> {
    let session = session(context)?;
    let version = match single(context.headers, &VERSION) {
        Ok(None) => session.as_ref().map_or(Version::UNNAMED, |session| session.version),
        Ok(Some(named)) => Version::parse(named)
            .filter(|version| version.era() == Era::Legacy)
            .ok_or_else(|| Failure::UnsupportedVersion { requested: truncate(named) })?,
        Err(bad) => return Err(Failure::InvalidRequest(format!("{VERSION} {}", bad.reason()))),
    };
    Ok(legacy_caller(context.headers, version, session.as_ref()))
}

/// Returns the sender of `initialize`, which has neither session nor version yet: the headers for them are ignored.
pub(crate) fn initialize(headers: &HeaderMap) -> Caller {
    legacy_caller(headers, Version::UNNAMED, None)
}

fn legacy_caller(headers: &HeaderMap, version: Version, session: Option<&Session>) -> Caller {
    Caller {
        era: Era::Legacy,
        version,
        session: session.map(Session::key),
        capabilities: session.and_then(|session| session.capabilities.clone()),
        place: None,
        param_headers: BTreeMap::new(),
        trace: Trace::from_headers(headers),
    }
}

/// Returns the session that a message names; `None` for clients that keep no session, which are accepted.
pub(crate) fn session<C>(context: &RequestContext<'_, C>) -> Result<Option<Session>, Failure> {
    context.headers.get(SESSION_ID).map(|token| open_session(context, token.as_bytes())).transpose()
}

/// Returns the session of a token.
pub(crate) fn open_session<C>(context: &RequestContext<'_, C>, token: &[u8]) -> Result<Session, Failure> {
    let (edge, principal) = (context.edge, &context.principal);
    let now = unix_now();
    let session = if let Some(session) = edge.sessions.get(token, principal, now) {
        session
    } else {
        let session = edge.sealer.open(token, principal, now).ok_or(Failure::SessionNotFound)?;
        edge.sessions.insert(token, *principal, &session);
        session
    };
    if edge.revoked.contains(&session) { Err(Failure::SessionNotFound) } else { Ok(session) }
}
