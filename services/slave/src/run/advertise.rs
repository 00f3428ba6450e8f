//! Advertises the catalog to proxies, in parts: after a change, only the parts that changed. Must not know what is in them.

use std::sync::Arc;

use bytes::Bytes;
use protocol::mcp::catalog::{MAX_CATALOG, WrittenLists, write_backend, write_gone, write_state};
use tokio::sync::watch;

use crate::endpoint::Endpoint;
use crate::executor::{BackendOffer, Offer};

/// The parts that the proxies have, each with the name of its backend; the slave's state has none and comes last.
#[derive(Default)]
pub(super) struct AdvertisedParts(Vec<(Option<String>, Bytes)>);

impl AdvertisedParts {
    /// Returns the parts of an offer.
    pub(super) fn of(offer: &Offer) -> Self {
        let backends = offer.backends.iter().enumerate();
        let backends = backends.map(|(at, backend)| (Some(backend.name.clone()), encode(at, backend)));
        let state = write_state(&offer.state).unwrap_or_else(|error| {
            tracing::error!("The state of the slave cannot be written: {error}");
            Bytes::from_static(br#"{"slave":{"complete":true}}"#)
        });
        Self(backends.chain([(None, state)]).collect())
    }

    /// Returns all parts.
    pub(super) fn all(&self) -> Vec<Bytes> {
        self.0.iter().map(|(_, part)| part.clone()).collect()
    }

    /// Returns the parts that turn `before` into this.
    fn changes_since(&self, before: &Self) -> Vec<Bytes> {
        let has = |name: &Option<String>| self.0.iter().any(|(known, _)| known == name);
        let gone = before.0.iter().filter(|(name, _)| !has(name)).flat_map(|(name, _)| name);
        let gone = gone.filter_map(|name| write_gone(name).ok());
        let changed = self.0.iter().filter(|part| !before.0.contains(part)).map(|(_, part)| part.clone());
        gone.chain(changed).collect()
    }
}

/// Sends each change of the offer to all proxies, until the executor is gone. Changes that come together are sent as one.
/// `sent` is what the endpoint has.
pub(super) async fn follow(
    mut offer: watch::Receiver<Arc<Offer>>,
    mut sent: AdvertisedParts,
    endpoint: Arc<Endpoint>,
) {
    while offer.changed().await.is_ok() {
        let parts = AdvertisedParts::of(&offer.borrow_and_update());
        let changed = parts.changes_since(&sent);
        tracing::debug!(parts = changed.len(), "The catalog changed");
        endpoint.set_catalog(parts.all(), &changed);
        sent = parts;
    }
}

/// Encodes a backend's part as JSON. One that is too large for proxies is replaced by an empty one, and logged.
fn encode(position: usize, backend: &BackendOffer) -> Bytes {
    let name = backend.name.as_str();
    let empty = || write_backend(name, position, WrittenLists::default()).unwrap_or_default();
    match write_backend(name, position, WrittenLists { tools: backend.tools.as_deref() }) {
        Ok(json) if json.len() <= MAX_CATALOG => json,
        Ok(json) => {
            let len = json.len();
            tracing::error!(
                backend = name,
                "The backend's catalog has {len} bytes, at most {MAX_CATALOG} are allowed: its tools are not offered to proxies"
            );
            empty()
        }
        Err(error) => {
            tracing::error!(backend = name, "The backend's catalog cannot be written: {error}");
            empty()
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::mcp::catalog::{Catalog, SlaveState};

    use super::*;

    fn backend(name: &str, tool: &str) -> BackendOffer {
        let tools =
            Catalog::decode(format!(r#"{{"tools":[{{"name":"{tool}"}}]}}"#).as_bytes()).unwrap().tools;
        BackendOffer { name: name.into(), tools: Some(tools) }
    }

    fn parts(backends: Vec<BackendOffer>, complete: bool) -> AdvertisedParts {
        AdvertisedParts::of(&Offer { backends, state: SlaveState { complete, degraded: None } })
    }

    fn changes(now: &AdvertisedParts, before: &AdvertisedParts) -> Vec<String> {
        now.changes_since(before).iter().map(|part| String::from_utf8(part.to_vec()).unwrap()).collect()
    }

    #[test]
    fn only_what_changed_is_sent_again() {
        let before = parts(vec![backend("a", "x"), backend("b", "y")], false);
        assert_eq!(before.all().len(), 3);
        assert!(changes(&before, &before).is_empty());
        let now = parts(vec![backend("a", "x"), backend("b", "z")], false);
        assert_eq!(
            changes(&now, &before),
            [r#"{"backend":"b","position":1,"lists":{"tools":{"items":[{"name":"z"}]}}}"#]
        );
        let complete = parts(vec![backend("a", "x"), backend("b", "z")], true);
        assert_eq!(changes(&complete, &now), [r#"{"slave":{"complete":true}}"#]);
        let moved = parts(vec![backend("b", "z")], true);
        assert_eq!(
            changes(&moved, &complete),
            [
                r#"{"backend":"a","gone":true}"#,
                r#"{"backend":"b","position":0,"lists":{"tools":{"items":[{"name":"z"}]}}}"#
            ]
        );
        let down = parts(vec![BackendOffer { name: "b".into(), tools: None }], true);
        assert_eq!(changes(&down, &moved), [r#"{"backend":"b","position":0,"lists":{"tools":null}}"#]);
    }
}
