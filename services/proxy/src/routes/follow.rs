//! Reloading of the `ROUTES` file: a changed file takes effect at once, an invalid one leaves the routes in force. Must
//! not know rules.

use std::sync::Arc;

use runtime::follow::WatchedFile;

use super::file::{Routes, RoutesError, parse_bytes};
use crate::metrics::record_config_reload;

/// Passes every new content of the file to `apply`. Never returns; dropping the future stops it.
pub(crate) async fn follow(mut file: WatchedFile, apply: impl Fn(Arc<Routes>) + Send) {
    loop {
        let content = file.changed().await;
        let read = content.map_err(RoutesError::from).and_then(|content| parse_bytes(&content));
        let path = file.path().display();
        match read {
            Ok(routes) => {
                let rules = routes.own_rules();
                apply(Arc::new(routes));
                record_config_reload("routes", "ok");
                tracing::info!(rules, "Routes read again from {path}");
            }
            Err(error) => {
                record_config_reload("routes", "failed");
                tracing::warn!("ROUTES cannot be used, the routes of before stay: {path}: {error}");
            }
        }
    }
}
