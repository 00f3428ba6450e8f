//! Advertises the catalog to proxies. Must not know what is in it.

use std::sync::Arc;

use bytes::Bytes;
use protocol::mcp::catalog::Catalog;
use protocol::mcp::catalog::MAX_CATALOG;
use tokio::sync::watch;

use crate::endpoint::Endpoint;

/// Sends each change of the catalog to all proxies, until the executor is gone. Changes that come together are sent as one.
pub(super) async fn follow(mut catalog: watch::Receiver<Arc<Catalog>>, endpoint: Arc<Endpoint>) {
    while catalog.changed().await.is_ok() {
        let current = Arc::clone(&catalog.borrow_and_update());
        tracing::debug!(tools = current.tools.len(), "The catalog changed");
        endpoint.set_catalog(encode(&current));
    }
}

/// Encodes the catalog as JSON. One that is too large for proxies is replaced by an empty one, and logged.
pub(super) fn encode(catalog: &Catalog) -> Bytes {
    let empty = || Bytes::from_static(b"{}");
    match catalog.encode() {
        Ok(json) if json.len() <= MAX_CATALOG => json,
        Ok(json) => {
            let len = json.len();
            tracing::error!(
                "The catalog has {len} bytes, at most {MAX_CATALOG} are allowed: no tools are offered to proxies. Configure fewer backends"
            );
            empty()
        }
        Err(error) => {
            tracing::error!("The catalog cannot be written: {error}");
            empty()
        }
    }
}
