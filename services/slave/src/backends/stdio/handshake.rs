//! The first words with a child: which era it speaks, and which tools it has. Must not know processes.
//!
//! 2026-07-28, stdio, "Backward Compatibility": `server/discover` first; a modern answer or a modern error means
//! modern; anything else, or silence, means `initialize`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::mcp::catalog::CatalogEntry;
use protocol::mcp::catalog::MAX_CATALOG;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::incoming::Incoming;
use super::messages;
use super::session::{Exchange, Kind, Session};

/// Pages of `tools/list` after which a backend's cursor counts as going in circles.
const MAX_PAGES: usize = 1000;

/// What a child said about itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    /// How it is spoken to.
    pub(super) era: Era,
    /// Which version of MCP it and we speak.
    pub(super) version: Version,
    /// Whether it has tools at all.
    pub(super) has_tools: bool,
    /// Whether it says when they change.
    pub(super) announces_changes: bool,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approach {
    /// Ask for the era first.
    Probe,
    /// It was silent to the question before, or did not survive it.
    Initialize,
}

/// Why a child is of no use. The text reaches the log and `doctor`.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("it went away during its start: {0}")]
    Gone(#[from] Failure),
    #[error("it answered {method} with an error: {error}")]
    Refused { method: &'static str, error: String },
    #[error("it answered {method} with something unexpected: {reason}")]
    Unexpected { method: &'static str, reason: String },
    #[error("it speaks none of our versions of MCP, but {0}")]
    Version(String),
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
}

impl Capabilities {
    fn greeting(self, version: Version) -> Greeting {
        let era = version.era();
        let announces_changes = self.tools.as_ref().is_some_and(|tools| tools.list_changed);
        Greeting { era, version, has_tools: self.tools.is_some(), announces_changes }
    }
}

/// Finds out the era. Bound it with a timeout: a child that never answers `initialize` is waited for.
pub(super) async fn greet(
    session: &Arc<Session>,
    approach: Approach,
    probe_timeout: Duration,
) -> Result<Greeting, HandshakeError> {
    const METHOD: &str = "server/discover";
    if approach == Approach::Initialize {
        return initialize(session).await;
    }
    let probe = own(session, |id| messages::request(id, METHOD, "", Era::Modern)).await?;
    let mut probe = probe.timed(METHOD);
    if let Ok(answer) = tokio::time::timeout(probe_timeout, probe.next()).await {
        return match discovered(answer)? {
            Some(greeting) => Ok(greeting),
            None => initialize(session).await,
        };
    }
    // Silence: legacy, or still busy with its own start. Whichever it answers first decides.
    tokio::select! {
        greeting = initialize(session) => greeting,
        greeting = modern_after_all(probe) => greeting,
    }
}

/// Resolves only if the late answer to the probe is a modern one.
async fn modern_after_all(mut probe: Exchange) -> Result<Greeting, HandshakeError> {
    match discovered(probe.next().await) {
        Ok(Some(greeting)) => Ok(greeting),
        _ => std::future::pending().await,
    }
}

/// What the answer to `server/discover` says: modern, or (`None`) not.
fn discovered(answer: Incoming) -> Result<Option<Greeting>, HandshakeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Discovered {
        supported_versions: Vec<String>,
        #[serde(default)]
        capabilities: Capabilities,
    }
    #[derive(Deserialize)]
    struct Refused {
        code: i64,
        #[serde(default)]
        data: Option<serde_json::Value>,
    }
    match answer {
        Incoming::Result(result) => match serde_json::from_slice::<Discovered>(&result) {
            Ok(found) if found.supported_versions.iter().any(|version| is_modern(version)) => {
                Ok(Some(found.capabilities.greeting(Version::NEWEST)))
            }
            _ => Ok(None),
        },
        Incoming::Error(error) => match serde_json::from_slice::<Refused>(&error) {
            Ok(Refused { code: -32022, data }) => {
                let supported = data.as_ref().and_then(|data| data.get("supported"));
                Err(HandshakeError::Version(
                    supported.map_or_else(|| "does not say which".into(), ToString::to_string),
                ))
            }
            // Modern, and wants more than we have even for this: its tools may want less.
            Ok(Refused { code: -32021 | -32020, .. }) => Ok(Some(Greeting {
                era: Era::Modern,
                version: Version::NEWEST,
                has_tools: true,
                announces_changes: false,
            })),
            _ => Ok(None),
        },
        Incoming::Failed(failure) => Err(failure.into()),
        Incoming::Progress { .. } | Incoming::Log(_) => Ok(None),
    }
}

fn is_modern(version: &str) -> bool {
    Version::parse(version).is_some_and(|version| version.era() == Era::Modern)
}

async fn initialize(session: &Arc<Session>) -> Result<Greeting, HandshakeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Initialized {
        protocol_version: String,
        #[serde(default)]
        capabilities: Capabilities,
    }
    const METHOD: &str = "initialize";
    let mut exchange = own(session, messages::initialize).await?.timed(METHOD);
    let result = result_of(exchange.next().await, METHOD)?;
    let found: Initialized = read(&result, METHOD)?;
    let Some(version) = Version::parse(&found.protocol_version).filter(|it| it.era() == Era::Legacy) else {
        return Err(HandshakeError::Version(found.protocol_version));
    };
    session.tell(messages::initialized());
    Ok(found.capabilities.greeting(version))
}

/// All pages of `tools/list`. A tool without a usable name is left out with a warning.
pub(super) async fn list_tools(
    session: &Arc<Session>,
    era: Era,
) -> Result<Vec<CatalogEntry>, HandshakeError> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        tools: Vec<&'a RawValue>,
        #[serde(rename = "nextCursor", borrow, default)]
        next: Option<&'a RawValue>,
    }
    const METHOD: &str = "tools/list";
    let (mut offers, mut bytes, mut params) = (Vec::new(), 0, String::new());
    for _ in 0..MAX_PAGES {
        let mut exchange =
            own(session, |id| messages::request(id, METHOD, &params, era)).await?.timed(METHOD);
        let result = result_of(exchange.next().await, METHOD)?;
        let page: Page<'_> = read(&result, METHOD)?;
        bytes += result.len();
        if bytes > MAX_CATALOG {
            break;
        }
        for tool in page.tools {
            match CatalogEntry::named(tool) {
                Ok(offer) => offers.push(offer),
                Err(error) => tracing::warn!(
                    backend = &*session.backend,
                    "a tool is left out, it has no usable name: {error}"
                ),
            }
        }
        match page.next {
            Some(cursor) => params = format!(r#""cursor":{}"#, cursor.get()),
            None => return Ok(offers),
        }
    }
    Err(HandshakeError::Unexpected {
        method: METHOD,
        reason: format!("more than {MAX_PAGES} pages or {MAX_CATALOG} bytes"),
    })
}

/// Asks a modern child to say when its tools change. The request stays open as long as the child wants.
pub(super) async fn subscribe(session: &Arc<Session>) {
    const FILTER: &str = r#""notifications":{"toolsListChanged":true}"#;
    if let Ok(mut stream) =
        own(session, |id| messages::request(id, "subscriptions/listen", FILTER, Era::Modern)).await
    {
        let end = stream.next().await;
        tracing::debug!(backend = &*session.backend, ?end, "the subscription to changes of the tools ended");
    }
}

/// Sends a request of ours.
pub(super) async fn own(
    session: &Arc<Session>,
    message: impl FnOnce(u64) -> Bytes,
) -> Result<Exchange, HandshakeError> {
    let mut exchange = session.begin(Kind::Own)?;
    exchange.send(message(exchange.id)).await?;
    Ok(exchange)
}

fn result_of(answer: Incoming, method: &'static str) -> Result<Bytes, HandshakeError> {
    match answer {
        Incoming::Result(result) => Ok(result),
        Incoming::Error(error) => {
            let error = String::from_utf8_lossy(&error).chars().take(300).collect();
            Err(HandshakeError::Refused { method, error })
        }
        Incoming::Failed(failure) => Err(failure.into()),
        Incoming::Progress { .. } | Incoming::Log(_) => Err(HandshakeError::Unexpected {
            method,
            reason: "an event for a request without a token".into(),
        }),
    }
}

fn read<'a, T: Deserialize<'a>>(result: &'a [u8], method: &'static str) -> Result<T, HandshakeError> {
    serde_json::from_slice(result)
        .map_err(|error| HandshakeError::Unexpected { method, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(json: &'static str) -> Incoming {
        Incoming::Result(Bytes::from_static(json.as_bytes()))
    }

    fn error(json: &'static str) -> Incoming {
        Incoming::Error(Bytes::from_static(json.as_bytes()))
    }

    #[test]
    fn only_modern_answers_and_modern_errors_mean_modern() {
        let found = discovered(result(
            r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}}}"#,
        ));
        assert_eq!(
            found.unwrap().unwrap(),
            Greeting { era: Era::Modern, version: Version::NEWEST, has_tools: true, announces_changes: true }
        );
        assert!(discovered(error(r#"{"code":-32021,"message":""}"#)).unwrap().is_some());
        for legacy in [
            result("{}"),
            result(r#"{"supportedVersions":["2025-11-25"]}"#),
            error(r#"{"code":-32601,"message":"no such method"}"#),
            error(r#"{"code":-32602,"message":""}"#),
            error(r#"{"code":0,"message":""}"#),
            error("null"),
        ] {
            assert_eq!(discovered(legacy).unwrap(), None);
        }
    }

    #[test]
    fn a_modern_server_of_other_versions_is_not_initialized() {
        let failed = discovered(error(r#"{"code":-32022,"message":"","data":{"supported":["2027-01-01"]}}"#));
        assert!(failed.unwrap_err().to_string().contains("2027-01-01"));
    }
}
