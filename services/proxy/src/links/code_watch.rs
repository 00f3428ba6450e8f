//! Applies changes of the slave codes to slaves that are linked.
//!
//! A removed or expired code closes its links. A code that allows something else changes what the slave may be and
//! offer while the link stays up. Must not know sockets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::document::SecretFileError;
use runtime::follow::{ReloadSignal, WatchedFile};
use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval};

use super::close_reason::CloseReason;
use super::registry::Registry;
use super::slave::Slave;
use crate::access::{CodeStore, Codes, CodesFile, CodesSource, ExpirySchedule, Review};
use crate::metrics;

/// Time between two checks for codes that have become valid or expired.
const VALIDITY_INTERVAL: Duration = Duration::from_secs(1);

/// Reviews a linked slave against the codes in force: gives it another grant, or asks for its link to be closed.
/// Returns whether either happened.
pub(super) fn review(store: &CodeStore, slave: &Slave) -> bool {
    let grant = slave.grant();
    let reason = match store.review(&grant) {
        Review::Unchanged => return false,
        Review::Changed(grant) => {
            tracing::info!(
                slave = slave.name,
                identity = %grant.identity(),
                labels = ?grant.labels,
                "Slave's code allows something else now: the link stays"
            );
            slave.set_grant(*grant);
            return true;
        }
        Review::Removed => CloseReason::CodeRemoved,
        Review::Expired => CloseReason::CodeExpired,
        Review::CertificateNotAllowed => CloseReason::CertificateNotAllowed,
    };
    let identity = grant.identity();
    tracing::warn!(slave = slave.name, %identity, "Slave's link is closed: {reason}");
    slave.awaited.end();
    slave.close(reason);
    true
}

fn review_all(store: &CodeStore, registry: &Registry) {
    let now = Instant::now();
    for slave in registry.all() {
        if (slave.is_linked() || slave.awaited_until(now).is_some()) && review(store, &slave) {
            registry.publish_change(&slave);
        }
    }
}

/// Follows the file of codes and the times at which codes become valid or expire. Runs until the future is dropped.
pub(crate) async fn follow_codes(
    store: Arc<CodeStore>,
    registry: Arc<Registry>,
    source: Option<CodesSource>,
    reload: ReloadSignal,
) {
    let mut file = source.map(|source| WatchedFile::new(source.path, Some(&source.read.1), reload));
    let mut ticks = interval(VALIDITY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut expiry, mut links) = (ExpirySchedule::default(), IdentityLinks::default());
    let mut before = OffsetDateTime::now_utc();
    loop {
        tokio::select! {
            content = next_content(file.as_mut()) => {
                let read = content.map_err(SecretFileError::from).and_then(|c| CodesFile::from_bytes(&c));
                reload_file(&store, &registry, read);
            }
            _ = ticks.tick() => {}
        }
        let (now, codes) = (OffsetDateTime::now_utc(), store.current());
        if codes.changes_between(before, now) {
            review_all(&store, &registry);
        }
        before = now;
        expiry.update(&codes, now);
        links.update(&codes, &registry);
    }
}

async fn next_content(file: Option<&mut WatchedFile>) -> std::io::Result<Vec<u8>> {
    match file {
        Some(file) => file.changed().await,
        None => std::future::pending().await,
    }
}

fn reload_file(store: &CodeStore, registry: &Registry, read: Result<CodesFile, SecretFileError>) {
    match read {
        Ok(file) => {
            let codes = store.replace_file(&file);
            tracing::info!(codes, "SLAVE_CODES_FILE was read again");
            if !file.short_codes().is_empty() {
                let places = file.short_codes().join(", ");
                tracing::warn!("SLAVE_CODES_FILE: fewer than 16 characters can be guessed ({places})");
            }
            metrics::record_config_reload("codes", "ok");
            review_all(store, registry);
            // The order of the codes, and what each provides, decide whose names are shown, also of codes without a slave.
            registry.changed.notify_one();
        }
        Err(error) => {
            tracing::error!("SLAVE_CODES_FILE cannot be used, the codes of before stay: {error}");
            metrics::record_config_reload("codes", "failed");
        }
    }
}

/// The gauge of links by identity.
#[derive(Default)]
struct IdentityLinks {
    /// Identities that the codes gave at the last update: the gauge of one that is gone is set to 0 once.
    exported: Vec<String>,
}

impl IdentityLinks {
    fn update(&mut self, codes: &Codes, registry: &Registry) {
        let identities: Vec<String> = codes.names().map(str::to_owned).collect();
        let mut links: BTreeMap<&str, u32> =
            self.exported.iter().chain(&identities).map(|name| (name.as_str(), 0)).collect();
        if links.is_empty() {
            return;
        }
        for slave in registry.all().iter().filter(|slave| slave.is_linked()) {
            if let Some(count) = slave.grant().identity().name().and_then(|name| links.get_mut(name)) {
                *count += 1;
            }
        }
        for (name, count) in &links {
            metrics::set_code_links(name, *count);
        }
        self.exported = identities;
    }
}
