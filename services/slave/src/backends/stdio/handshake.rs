//! The handshake with a child, which finds out the era that the child speaks. Must not know processes.
//!
//! 2026-07-28, stdio, "Backward Compatibility": `server/discover` comes first; a modern answer or a modern error means
//! modern; anything else, or silence, means `initialize`.

use std::sync::Arc;
use std::time::Duration;

use protocol::mcp::era::{Era, Version};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::era_probe::EraProbe;
use super::incoming::Incoming;
use super::messages;
use super::request::{RequestError, expect_result, parse, send};
use super::session::{OutboundRequest, Session};

/// The result of a handshake.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerInfo {
    /// The era in which the child is spoken to.
    pub(super) era: Era,
    /// The MCP version of the session.
    pub(super) version: Version,
    /// Whether the child has tools.
    pub(super) has_tools: bool,
    /// Whether the child notifies when its tools change.
    pub(super) announces_changes: bool,
    /// Whether the child declared the capability `logging`.
    pub(super) logs: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tools {
    #[serde(default)]
    list_changed: bool,
}

#[derive(Default, Deserialize)]
struct Capabilities {
    #[serde(default)]
    tools: Option<Tools>,
    #[serde(default)]
    logging: Option<IgnoredAny>,
}

impl Capabilities {
    fn into_info(self, version: Version) -> ServerInfo {
        let era = version.era();
        let announces_changes = self.tools.as_ref().is_some_and(|tools| tools.list_changed);
        ServerInfo {
            era,
            version,
            has_tools: self.tools.is_some(),
            announces_changes,
            logs: self.logging.is_some(),
        }
    }
}

/// Runs the handshake. A child that never answers `initialize` is waited for: callers set a timeout.
///
/// # Errors
/// [`RequestError::Stuck`] if the first message is [`EraProbe::Discover`] and the child has read it and answers nothing.
pub(super) async fn negotiate(
    session: &Arc<Session>,
    first: EraProbe,
    probe_timeout: Duration,
) -> Result<ServerInfo, RequestError> {
    const METHOD: &str = "server/discover";
    if first == EraProbe::Initialize {
        return initialize(session).await;
    }
    let probe = send(session, |id| messages::request(id, METHOD, "", Era::Modern)).await?;
    let mut discover = probe.timed(METHOD);
    if let Ok(answer) = tokio::time::timeout(probe_timeout, discover.next()).await {
        return match parse_discovery(answer)? {
            Some(info) => Ok(info),
            None => initialize(session).await,
        };
    }
    // A silent child is legacy, or still busy with its own start: the first answer decides.
    tokio::select! {
        info = initialize(session) => info,
        info = late_discovery(discover) => info,
        () = stuck(session, probe_timeout), if first == EraProbe::Discover => Err(RequestError::Stuck),
    }
}

/// Resolves when the child has read `server/discover` and has answered nothing for `silence` since then: it hangs on a message that
/// it does not know. Never resolves while a child does not read, as one does that is still being installed.
async fn stuck(session: &Session, silence: Duration) {
    // What is sent after `server/discover`, at most.
    let behind = messages::initialize(u64::MAX).len() as u64;
    let has_read = || session.unread().is_some_and(|unread| unread <= behind);
    let mut before = has_read();
    loop {
        tokio::time::sleep(silence).await;
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
    #[serde(default)]
    capabilities: Capabilities,
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
        Incoming::Result(result) => match serde_json::from_slice::<Discovered>(&result) {
            Ok(found) if found.supported_versions.iter().any(|version| is_modern(version)) => {
                Ok(Some(found.capabilities.into_info(Version::NEWEST)))
            }
            _ => Ok(None),
        },
        Incoming::Error(error) => match serde_json::from_slice::<ErrorObject>(&error) {
            Ok(ErrorObject { code: -32022, data }) => {
                let supported = data.as_ref().and_then(|data| data.get("supported"));
                Err(RequestError::Version(supported.map_or_else(|| "unknown".into(), ToString::to_string)))
            }
            // A modern server that requires capabilities even for this; its tools may require less.
            Ok(ErrorObject { code: -32021 | -32020, .. }) => Ok(Some(ServerInfo {
                era: Era::Modern,
                version: Version::NEWEST,
                has_tools: true,
                announces_changes: false,
                logs: false,
            })),
            _ => Ok(None),
        },
        // What cannot be read is no modern server's answer; another failure means that the child is gone.
        Incoming::Failed(failure) => match RequestError::of(failure, "server/discover") {
            RequestError::Unexpected { .. } => Ok(None),
            gone => Err(gone),
        },
        Incoming::Progress { .. } | Incoming::Log(_) | Incoming::Alive => Ok(None),
    }
}

fn is_modern(version: &str) -> bool {
    Version::parse(version).is_some_and(|version| version.era() == Era::Modern)
}

async fn initialize(session: &Arc<Session>) -> Result<ServerInfo, RequestError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Initialized {
        protocol_version: String,
        #[serde(default)]
        capabilities: Capabilities,
    }
    const METHOD: &str = "initialize";
    let mut request = send(session, messages::initialize).await?.timed(METHOD);
    let result = expect_result(request.next().await, METHOD)?;
    let found: Initialized = parse(&result, METHOD)?;
    let Some(version) = Version::parse(&found.protocol_version).filter(|it| it.era() == Era::Legacy) else {
        return Err(RequestError::Version(found.protocol_version));
    };
    session.post(messages::initialized());
    Ok(found.capabilities.into_info(version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn result(json: &'static str) -> Incoming {
        Incoming::Result(Bytes::from_static(json.as_bytes()))
    }

    fn error(json: &'static str) -> Incoming {
        Incoming::Error(Bytes::from_static(json.as_bytes()))
    }

    #[test]
    fn only_a_modern_answer_or_a_modern_error_means_a_modern_server() {
        let found = parse_discovery(result(
            r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"logging":{}}}"#,
        ));
        assert_eq!(
            found.unwrap().unwrap(),
            ServerInfo {
                era: Era::Modern,
                version: Version::NEWEST,
                has_tools: true,
                announces_changes: true,
                logs: true,
            }
        );
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
