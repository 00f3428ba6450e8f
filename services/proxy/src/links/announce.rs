//! Tasks that keep the fleet's proxies known: announce changes to slaves, and count the addresses of `PROXY_PEERS`. Must
//! not know how reports of slaves are kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::registry::Registry;
use crate::metrics;

/// Time between two resolutions of the name in `PROXY_PEERS`.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(10);

/// Time for which changes are collected into one announcement: after a restart thousands of slaves report at once.
const ANNOUNCE_DEBOUNCE: Duration = Duration::from_millis(50);

/// Time after which this proxy renews its own fact at the slaves.
const RENEWAL_INTERVAL: Duration = Duration::from_mins(3);

/// Announces every change of the known proxies to the slaves, and renews the fact of this one. Runs until the future is dropped.
pub(crate) async fn announce_changes(registry: Arc<Registry>) {
    let peers = registry.peers();
    let (mut announced, mut renewed) = (peers.known(), Instant::now());
    metrics::set_peers(announced.proxies.len());
    loop {
        let next_expiry = peers.expire(Instant::now());
        let known = peers.known();
        // Facts of others are renewed by those themselves: each slave that reports one has it from its own link.
        let is_changed = known.instances() != announced.instances() || known.at_least != announced.at_least;
        if !is_changed && renewed.elapsed() >= RENEWAL_INTERVAL {
            registry.broadcast_peers(&known.encode());
            renewed = Instant::now();
        }
        if is_changed {
            tracing::info!(
                proxies = known.proxies.len(),
                "Proxies that slaves are linked to, this one included"
            );
            metrics::set_peers(known.proxies.len());
            registry.broadcast_peers(&known.encode());
            (announced, renewed) = (known, Instant::now());
        }
        let expiry = async {
            match next_expiry {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = expiry => {}
            () = tokio::time::sleep_until((renewed + RENEWAL_INTERVAL).into()) => {}
            () = peers.changed.notified() => tokio::time::sleep(ANNOUNCE_DEBOUNCE).await,
        }
    }
}

/// Counts the addresses of a name that has one address for each proxy (`PROXY_PEERS`). While the name cannot be
/// resolved, the last count stands. Runs until the future is dropped.
pub(crate) async fn count_addresses(registry: Arc<Registry>, host: String, port: u16) {
    let mut failing = false;
    loop {
        match tokio::net::lookup_host((host.as_str(), port)).await {
            Ok(found) => {
                failing = false;
                let addresses: BTreeSet<_> = found.collect();
                registry.peers().set_at_least(u32::try_from(addresses.len()).unwrap_or(u32::MAX));
            }
            // Logged once, not at every attempt.
            Err(error) if !std::mem::replace(&mut failing, true) => {
                let why = runtime::io_fault::describe(&error);
                tracing::warn!("PROXY_PEERS: {host} cannot be resolved: {why}");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RESOLVE_INTERVAL).await;
    }
}
