//! Advertises the catalog to proxies, in parts: after a change, only the parts that changed. Must not know what is in them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::mcp::catalog::{
    ListKind, MAX_CATALOG, WrittenBackend, WrittenList, write_backend, write_gone, write_position,
    write_state,
};
use tokio::sync::watch;

use crate::endpoint::Endpoint;
use crate::executor::{BackendOffer, Offer};

/// The offer that the proxies have, with its parts.
#[derive(Default)]
pub(super) struct AdvertisedParts {
    backends: Vec<AdvertisedBackend>,
    state: Bytes,
}

/// Part of one backend.
struct AdvertisedBackend {
    offer: BackendOffer,
    whole: Bytes,
}

impl AdvertisedParts {
    /// Returns the parts of an offer.
    pub(super) fn of(offer: &Offer) -> Self {
        let part = |(at, offer): (usize, &BackendOffer)| AdvertisedBackend {
            whole: encode(at, offer),
            offer: offer.clone(),
        };
        let state = write_state(&offer.state).unwrap_or_else(|error| {
            tracing::error!("The state of the slave cannot be written: {error}");
            Bytes::from_static(br#"{"slave":{"complete":true}}"#)
        });
        Self { backends: offer.backends.iter().enumerate().map(part).collect(), state }
    }

    /// Returns the parts of an offer that is complete; none of another, which is not to be sent yet.
    pub(super) fn of_complete(offer: &Offer) -> Self {
        if offer.state.complete { Self::of(offer) } else { Self::default() }
    }

    /// Returns whether there is anything that proxies have been sent.
    fn is_sent(&self) -> bool {
        !self.state.is_empty()
    }

    fn tools(&self) -> usize {
        self.backends.iter().map(|backend| backend.offer.count(ListKind::Tools)).sum()
    }

    /// Returns all parts.
    pub(super) fn all(&self) -> Vec<Bytes> {
        let backends = self.backends.iter().map(|backend| backend.whole.clone());
        backends.chain([self.state.clone()]).filter(|part| !part.is_empty()).collect()
    }

    /// Returns the parts that turn `before` into this.
    fn changes_since(&self, before: &Self) -> Vec<Bytes> {
        let gone = before.backends.iter().map(|backend| backend.offer.name.as_str());
        let gone = gone.filter(|name| self.position(name).is_none()).filter_map(|name| write_gone(name).ok());
        let changed = self.backends.iter().enumerate().filter_map(|(at, backend)| {
            let known = before.position(&backend.offer.name);
            match known.map(|known| (known, &before.backends[known])) {
                Some((known, old)) if old.offer.is_same(&backend.offer) => {
                    if known == at {
                        None
                    } else {
                        write_position(&backend.offer.name, at).ok()
                    }
                }
                _ => Some(backend.whole.clone()),
            }
        });
        let state = (self.state != before.state).then(|| self.state.clone());
        gone.chain(changed).chain(state).collect()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.backends.iter().position(|backend| backend.offer.name == name)
    }
}

/// Time for which the first catalog waits for backends that are starting: what starts within it is never missing in a list. A
/// proxy waits longer for a catalog, and lets calls wait for it.
const FIRST_CATALOG_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends the offer to all proxies, first once it is complete or [`FIRST_CATALOG_TIMEOUT`] is over, then each change of it, until the
/// executor is gone. Changes that come together are sent as one. `sent` is what the endpoint has.
pub(super) async fn follow(
    mut offer: watch::Receiver<Arc<Offer>>,
    mut sent: AdvertisedParts,
    endpoint: Arc<Endpoint>,
) {
    if !sent.is_sent() {
        let complete = offer.wait_for(|offer| offer.state.complete);
        let _ = tokio::time::timeout(FIRST_CATALOG_TIMEOUT, complete).await;
        let parts = AdvertisedParts::of(&offer.borrow_and_update());
        tracing::info!(
            tools = parts.tools(),
            complete = offer.borrow().state.complete,
            "Offering tools to proxies"
        );
        endpoint.set_catalog(parts.all(), &parts.all());
        sent = parts;
    }
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
    let empty = || write_backend(name, position, WrittenBackend::default()).unwrap_or_default();
    let list = |kind: ListKind| {
        let entries = backend.lists[kind as usize].as_deref()?;
        Some(WrittenList { entries, hints: backend.hints[kind as usize] })
    };
    let written = WrittenBackend { lists: ListKind::ALL.map(list), server: Some(&backend.server) };
    match write_backend(name, position, written) {
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
    use protocol::mcp::catalog::{Catalog, ListHints, SlaveState};

    use super::*;

    fn backend(name: &str, tool: &str) -> BackendOffer {
        let tools =
            Catalog::decode(format!(r#"{{"tools":[{{"name":"{tool}"}}]}}"#).as_bytes()).unwrap().tools;
        BackendOffer {
            name: name.into(),
            lists: [Some(tools), None, None, None],
            hints: [ListHints::default(); 4],
            server: Arc::default(),
        }
    }

    fn parts(backends: Vec<BackendOffer>, complete: bool) -> AdvertisedParts {
        AdvertisedParts::of(&Offer { backends, state: SlaveState { complete, ..SlaveState::default() } })
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
            [
                r#"{"backend":"b","position":1,"server":{},"lists":{"tools":{"items":[{"name":"z"}]},"prompts":null,"resources":null,"resourceTemplates":null}}"#
            ]
        );
        let complete = parts(vec![backend("a", "x"), backend("b", "z")], true);
        assert_eq!(changes(&complete, &now), [r#"{"slave":{"complete":true}}"#]);
        let moved = parts(vec![backend("b", "z")], true);
        assert_eq!(
            changes(&moved, &complete),
            [r#"{"backend":"a","gone":true}"#, r#"{"backend":"b","position":0}"#]
        );
        let hints = ListHints { ttl_ms: Some(5), private: true };
        let hints = [hints, ListHints::default(), ListHints::default(), ListHints::default()];
        let hinted = parts(vec![BackendOffer { hints, ..backend("b", "z") }], true);
        assert_eq!(
            changes(&hinted, &moved),
            [
                r#"{"backend":"b","position":0,"server":{},"lists":{"tools":{"items":[{"name":"z"}],"ttlMs":5,"cacheScope":"private"},"prompts":null,"resources":null,"resourceTemplates":null}}"#
            ]
        );
        let down = parts(vec![BackendOffer { lists: [const { None }; 4], ..backend("b", "z") }], true);
        assert_eq!(
            changes(&down, &moved),
            [
                r#"{"backend":"b","position":0,"server":{},"lists":{"tools":null,"prompts":null,"resources":null,"resourceTemplates":null}}"#
            ]
        );
    }
}
