//! The handshake with a child, which finds out the era that the child speaks. Must not know processes.
//!
//! 2026-07-28, stdio, "Backward Compatibility": `server/discover` comes first; a modern answer or a modern error means
//! modern; anything else, or silence, means `initialize`.

use std::sync::Arc;
use std::time::Duration;

use protocol::mcp::catalog::{MAX_SERVER_FACTS, ServerFacts};
use protocol::mcp::era::{Era, Version};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::era_probe::EraProbe;
use super::incoming::Incoming;
use super::messages;
use super::request::{RequestError, expect_result, parse, send};
use super::session::{OutboundRequest, Session};

/// The result of a handshake.
#[derive(Debug, PartialEq)]
pub(super) struct ServerInfo {
    /// The era in which the child is spoken to.
    pub(super) era: Era,
    /// The MCP version of the session.
    pub(super) version: Version,
    /// What the child says of itself.
    pub(super) facts: ServerFacts,
}

/// What the answers to `initialize` and `server/discover` have in common.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Introduction {
    #[serde(default)]
    capabilities: Option<Box<RawValue>>,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    server_info: Option<Box<RawValue>>,
}

impl Introduction {
    fn into_info(self, version: Version) -> ServerInfo {
        let Self { capabilities, instructions, server_info } = self;
        let era = version.era();
        let facts = ServerFacts {
            era: Some(era),
            version: Some(version),
            capabilities,
            instructions,
            server_info,
            ..ServerFacts::default()
        };
        ServerInfo { era, version, facts: bounded(facts) }
    }
}

/// Returns the facts without those that are too long for a catalog.
fn bounded(mut facts: ServerFacts) -> ServerFacts {
    for cut in [
        |facts: &mut ServerFacts| facts.instructions = None,
        |facts: &mut ServerFacts| facts.server_info = None,
    ] {
        if !facts.is_bounded() {
            tracing::warn!(
                "what the backend says of itself is longer than {MAX_SERVER_FACTS} bytes, and is cut"
            );
            cut(&mut facts);
        }
    }
    facts
}

/// How a handshake begins.
pub(super) struct Opening<'a> {
    /// The first message.
    pub(super) first: EraProbe,
    /// Silence after `server/discover` that means a legacy server.
    pub(super) silence: Duration,
    /// The capabilities of the child's client, a JSON object.
    pub(super) capabilities: &'a str,
}

/// Runs the handshake. A child that never answers `initialize` is waited for: callers set a timeout.
///
/// # Errors
/// [`RequestError::Stuck`] if the first message is [`EraProbe::Discover`] and the child has read it and answers nothing.
pub(super) async fn negotiate(
    session: &Arc<Session>,
    opening: &Opening<'_>,
) -> Result<ServerInfo, RequestError> {
    const METHOD: &str = "server/discover";
    let Opening { first, silence, capabilities } = *opening;
    if first == EraProbe::Initialize {
        return initialize(session, capabilities).await;
    }
    let probe = send(session, |id| messages::request(id, METHOD, "", Era::Modern)).await?;
    let mut discover = probe.timed(METHOD);
    if let Ok(answer) = tokio::time::timeout(silence, discover.next()).await {
        return match parse_discovery(answer)? {
            Some(info) => Ok(info),
            None => initialize(session, capabilities).await,
        };
    }
    // A silent child is legacy, or still busy with its own start: the first answer decides.
    tokio::select! {
        info = initialize(session, capabilities) => info,
        info = late_discovery(discover) => info,
        () = stuck(session, opening), if first == EraProbe::Discover => Err(RequestError::Stuck),
    }
}

/// Resolves when the child has read `server/discover` and has answered nothing for `silence` since then: it hangs on a message that
/// it does not know. Never resolves while a child does not read, as one does that is still being installed.
async fn stuck(session: &Session, opening: &Opening<'_>) {
    // What is sent after `server/discover`, at most.
    let behind = messages::initialize(u64::MAX, opening.capabilities).len() as u64;
    let has_read = || session.unread().is_some_and(|unread| unread <= behind);
    let mut before = has_read();
    loop {
        tokio::time::sleep(opening.silence).await;
        if std::mem::replace(&mut before, has_read()) && before {
            return;
        }
    }
}

/// Resolves only if the late answer to `server/discover` is a modern one.
async fn late_discovery(mut discover: OutboundRequest) -> Result<ServerInfo, RequestError> {
    match parse_discovery(discover.next().await) {
        Ok(Some(info)) => Ok(info),
        _ => std::future::pending().await,
    }
}

/// The result of `server/discover`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Discovered {
    supported_versions: Vec<String>,
}

/// The members of an error object that matter here.
#[derive(Deserialize)]
struct ErrorObject {
    code: i64,
    #[serde(default)]
    data: Option<serde_json::Value>,
}

/// Parses the answer to `server/discover`; `None` if it is not a modern server's.
fn parse_discovery(answer: Incoming) -> Result<Option<ServerInfo>, RequestError> {
    match answer {
        Incoming::Result { json, .. } => match serde_json::from_slice::<Discovered>(&json) {
            Ok(found) if found.supported_versions.iter().any(|version| is_modern(version)) => {
                let introduction: Introduction = serde_json::from_slice(&json).unwrap_or_default();
                Ok(Some(introduction.into_info(Version::NEWEST)))
            }
            _ => Ok(None),
        },
        Incoming::Error(error) => match serde_json::from_slice::<ErrorObject>(&error) {
            Ok(ErrorObject { code: -32022, data }) => {
                let supported = data.as_ref().and_then(|data| data.get("supported"));
                Err(RequestError::Version(supported.map_or_else(|| "unknown".into(), ToString::to_string)))
            }
            // A modern server that requires capabilities even for this; its tools may require less.
            Ok(ErrorObject { code: -32021 | -32020, .. }) => {
                let capabilities = RawValue::from_string(r#"{"tools":{}}"#.to_owned()).ok();
                Ok(Some(Introduction { capabilities, ..Introduction::default() }.into_info(Version::NEWEST)))
            }
            _ => Ok(None),
        },
        // What cannot be read is no modern server's answer; another failure means that the child is gone.
        Incoming::Failed(failure) => match RequestError::of(failure, "server/discover") {
            RequestError::Unexpected { .. } => Ok(None),
            gone => Err(gone),
        },
        Incoming::Progress { .. }
        | Incoming::Log(_)
        | Incoming::Extension(_)
        | Incoming::TaskStatus { .. }
        | Incoming::Request(_)
        | Incoming::Withdrawn(_)
        | Incoming::Alive => Ok(None),
    }
}

fn is_modern(version: &str) -> bool {
    Version::parse(version).is_some_and(|version| version.era() == Era::Modern)
}

async fn initialize(session: &Arc<Session>, capabilities: &str) -> Result<ServerInfo, RequestError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Initialized {
        protocol_version: String,
    }
    const METHOD: &str = "initialize";
    let mut request = send(session, |id| messages::initialize(id, capabilities)).await?.timed(METHOD);
    let result = expect_result(request.next().await, METHOD)?;
    let found: Initialized = parse(&result, METHOD)?;
    let Some(version) = Version::parse(&found.protocol_version).filter(|it| it.era() == Era::Legacy) else {
        return Err(RequestError::Version(found.protocol_version));
    };
    let introduction: Introduction = parse(&result, METHOD)?;
    session.post(messages::initialized());
    Ok(introduction.into_info(version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn result(json: &'static str) -> Incoming {
        Incoming::Result { json: Bytes::from_static(json.as_bytes()), marks: None }
    }

    fn error(json: &'static str) -> Incoming {
        Incoming::Error(Bytes::from_static(json.as_bytes()))
    }

    #[test]
    fn only_a_modern_answer_or_a_modern_error_means_a_modern_server() {
        let found = parse_discovery(result(
            r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"logging":{}},"instructions":"do"}"#,
        ));
        let info = found.unwrap().unwrap();
        assert_eq!((info.era, info.version), (Era::Modern, Version::NEWEST));
        assert!(info.facts.capability(&["tools", "listChanged"]).is_some());
        assert_eq!(info.facts.instructions.as_deref(), Some("do"));
        assert!(parse_discovery(error(r#"{"code":-32021,"message":""}"#)).unwrap().is_some());
        for legacy in [
            result("{}"),
            result(r#"{"supportedVersions":["2025-11-25"]}"#),
            error(r#"{"code":-32601,"message":"no such method"}"#),
            error(r#"{"code":-32602,"message":""}"#),
            error(r#"{"code":0,"message":""}"#),
            error("null"),
        ] {
            assert_eq!(parse_discovery(legacy).unwrap(), None);
        }
    }

    #[test]
    fn a_modern_server_without_a_common_version_fails_the_handshake() {
        let failed =
            parse_discovery(error(r#"{"code":-32022,"message":"","data":{"supported":["2027-01-01"]}}"#));
        assert!(failed.unwrap_err().to_string().contains("2027-01-01"));
    }
}
