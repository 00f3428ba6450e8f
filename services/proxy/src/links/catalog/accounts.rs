//! Accounts of all codes, and the number of links that each may have. Must not know what is charged to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::account::{CatalogAccount, CatalogBudget};
use crate::access::{Grant, Identity};

/// Accounts that are kept before those that nobody uses are looked for.
const MIN_KEPT_ACCOUNTS: usize = 256;

/// Accounts of all codes.
#[derive(Debug)]
pub(crate) struct CatalogAccounts {
    budget: Arc<CatalogBudget>,
    /// `MAX_LINKS_PER_CODE`.
    links: usize,
    by_key: Mutex<HashMap<Identity, Arc<CatalogAccount>>>,
}

impl CatalogAccounts {
    /// No accounts. `total`: bytes of all catalogs together (`MAX_CATALOG_BYTES`); `links`: links of a code whose entry does
    /// not say how many (`MAX_LINKS_PER_CODE`).
    pub(crate) fn new(total: usize, links: usize) -> Self {
        let budget = Arc::new(CatalogBudget { used: AtomicUsize::new(0), limit: total });
        Self { budget, links, by_key: Mutex::default() }
    }

    /// Returns how many links slaves with this grant's code may have at once.
    pub(in crate::links) fn max_links(&self, grant: &Grant) -> usize {
        grant.limits().links.unwrap_or(self.links)
    }

    /// Returns the account of the code of this grant.
    pub(in crate::links) fn of(&self, grant: &Grant) -> Arc<CatalogAccount> {
        let mut accounts = self.by_key.lock();
        if let Some(account) = accounts.get(grant.identity()) {
            return Arc::clone(account);
        }
        if accounts.len() >= MIN_KEPT_ACCOUNTS && accounts.len() == accounts.capacity() {
            // Codes come and go with their file.
            accounts.retain(|_, account| Arc::strong_count(account) > 1);
        }
        let account = CatalogAccount::new(Arc::clone(&self.budget), self.max_links(grant));
        accounts.insert(grant.identity().clone(), Arc::clone(&account));
        account
    }

    /// Returns the bytes of all catalogs.
    pub(crate) fn bytes(&self) -> usize {
        self.budget.used.load(Ordering::Acquire)
    }
}
