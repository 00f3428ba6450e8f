//! The catalog of a slave: parts as they come, the offer that follows from them, and what is reported of it. Must not know
//! sockets or tools' pools.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use protocol::mcp::catalog::{Catalog, CatalogError, RawList};

use super::audit;
use super::catalog::{AnnouncedCatalog, CatalogAccounts, CatalogRefusal, IncompletePart, Received};
use super::slave::Slave;
use crate::metrics;

/// Time after which a slave that has not sent a whole catalog counts as offering nothing more.
const FIRST_CATALOG_TIMEOUT: Duration = Duration::from_secs(10);

impl Slave {
    /// Takes a part of the catalog (JSON). An error is a violation of the protocol.
    pub(super) fn receive_part(
        &self,
        json: &[u8],
        accounts: &CatalogAccounts,
        now: Instant,
    ) -> Result<Received, CatalogError> {
        let grant = self.grant();
        let mut announced = self.announced();
        let received = announced.receive(json, &accounts.of(&grant), grant.limits(), now)?;
        self.on_received(announced, received);
        Ok(received)
    }

    /// Takes the whole list of a plain slave's tools.
    pub(super) fn receive_tools(
        &self,
        list: &RawList<'_>,
        accounts: &CatalogAccounts,
    ) -> Result<(), CatalogError> {
        let grant = self.grant();
        let mut announced = self.announced();
        announced.receive_tools(list, &accounts.of(&grant), grant.limits())?;
        self.on_received(announced, Received::Changed);
        Ok(())
    }

    /// Applies parts that wait, if it is time. An error is a violation of the protocol.
    pub(super) fn apply_pending_parts(
        &self,
        accounts: &CatalogAccounts,
        now: Instant,
    ) -> Result<Received, CatalogError> {
        let mut announced = self.announced();
        if !announced.is_waiting() {
            return Ok(Received::Unchanged);
        }
        let grant = self.grant();
        let received = announced.apply_pending(&accounts.of(&grant), grant.limits(), now)?;
        self.on_received(announced, received);
        Ok(received)
    }

    /// Charges the part that a link is receiving to the slave's code. Returns whether the code may have it; if not, `refused`
    /// drops it, and returns its beginning.
    pub(super) fn charge_incomplete(
        &self,
        incomplete: &mut IncompletePart,
        bytes: usize,
        accounts: &CatalogAccounts,
        refused: impl FnOnce() -> bytes::Bytes,
    ) -> bool {
        let grant = self.grant();
        let Err(refusal) = incomplete.set(bytes, &accounts.of(&grant), grant.limits()) else { return true };
        let mut announced = self.announced();
        announced.refuse_unread(&refused(), refusal);
        self.on_received(announced, Received::Changed);
        false
    }

    /// Makes the offer follow the announced parts, and reports what was left out.
    fn on_received(&self, mut announced: MutexGuard<'_, AnnouncedCatalog>, received: Received) {
        let refusals = announced.take_refusals();
        match received {
            Received::Unchanged => {}
            Received::Later(_) => metrics::record_catalog_wait(),
            Received::Changed => {
                let complete = announced.is_complete();
                // Under the lock: a later state must not be overtaken by this one.
                self.set_catalog(announced.merge());
                if complete {
                    self.has_catalog.store(true, Ordering::Release);
                }
            }
        }
        drop(announced);
        for refusal in refusals {
            self.report_refusal(&refusal);
        }
    }

    fn report_refusal(&self, refusal: &CatalogRefusal) {
        metrics::record_catalog_refusal(refusal.kind());
        audit::catalog_refused(self, refusal);
        tracing::warn!(slave = self.name, "A part of the slave's catalog is left out: {refusal}");
    }

    /// Sets the catalog that follows from what the slave announced.
    pub(super) fn set_catalog(&self, catalog: Catalog) {
        let before = self.catalog();
        let left_out = self.offer.set_catalog(catalog);
        self.bounds.on_left_out(&self.name, &self.grant(), &left_out);
        let catalog = self.catalog();
        audit::catalog(self, &before, &catalog);
        self.health.set_unavailable(catalog.unavailable);
        self.health.set_offer(catalog.tools.len(), catalog.degraded.as_deref().unwrap_or_default());
    }

    /// Returns until when the slave's first whole catalog is waited for. `None`: it is there, or the link is down.
    pub(crate) fn catalog_deadline(&self) -> Option<Instant> {
        let missing = self.is_linked() && !self.has_catalog.load(Ordering::Acquire);
        missing.then(|| self.since + FIRST_CATALOG_TIMEOUT)
    }
}
