//! Account of one code's catalogs: bytes and entries of its lists, each list once however many slaves offer it. Must not know
//! slaves or parts.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use protocol::mcp::catalog::{CatalogEntry, HeldList, ListKind, RawList};

use super::change_rate::ChangeRate;
use super::refusal::CatalogRefusal;
use crate::access::CodeLimits;

/// Shared lists that are kept track of before those that are gone are looked for.
const MIN_TRACKED_LISTS: usize = 64;

/// Bytes of all catalogs at this proxy.
#[derive(Debug)]
pub(super) struct CatalogBudget {
    pub(super) used: AtomicUsize,
    /// `MAX_CATALOG_BYTES`.
    pub(super) limit: usize,
}

/// Account of one code.
#[derive(Debug)]
pub(in crate::links) struct CatalogAccount {
    budget: Arc<CatalogBudget>,
    /// Links that the code may have at once.
    links: u32,
    /// Bytes of lists.
    bytes: AtomicUsize,
    /// Entries of lists by kind.
    entries: [AtomicUsize; 4],
    /// Bytes of parts that are not applied yet.
    waiting: AtomicUsize,
    rate: Mutex<ChangeRate>,
    lists: Mutex<HashMap<u64, Weak<ChargedList>>>,
    hasher: RandomState,
}

/// List that its account was charged for, until nobody has it any more.
#[derive(Debug)]
pub(super) struct ChargedList {
    entries: Vec<Arc<CatalogEntry>>,
    kind: ListKind,
    bytes: usize,
    account: Arc<CatalogAccount>,
}

/// Bytes of parts that wait, charged until this is dropped.
#[derive(Debug, Default)]
pub(super) struct WaitingBytes {
    bytes: usize,
    account: Option<Arc<CatalogAccount>>,
}

impl HeldList for ChargedList {
    fn entries(&self) -> &[Arc<CatalogEntry>] {
        &self.entries
    }
}

impl CatalogAccount {
    /// An account that was not charged yet. `links`: links that the code may have at once.
    pub(super) fn new(budget: Arc<CatalogBudget>, links: usize) -> Arc<Self> {
        Arc::new(Self {
            budget,
            links: u32::try_from(links).unwrap_or(u32::MAX),
            bytes: AtomicUsize::new(0),
            entries: [const { AtomicUsize::new(0) }; 4],
            waiting: AtomicUsize::new(0),
            rate: Mutex::default(),
            lists: Mutex::default(),
            hasher: RandomState::new(),
        })
    }

    /// Takes one of the code's changes in a minute, or says when there will be one.
    pub(super) fn take_change(&self, limits: &CodeLimits, now: Instant) -> Result<(), Instant> {
        self.rate.lock().take_change(limits.catalog_changes, now)
    }

    /// Takes one part of a first catalog, or says when there will be one.
    pub(super) fn take_first_part(&self, now: Instant) -> Result<(), Instant> {
        self.rate.lock().take_first_part(self.links, now)
    }

    /// Returns whether some slave of the code offers this list already.
    pub(super) fn knows(&self, list: &RawList<'_>) -> bool {
        self.known(list).is_some()
    }

    fn known(&self, list: &RawList<'_>) -> Option<Arc<ChargedList>> {
        let known = self.lists.lock().get(&list.hash(&self.hasher)).and_then(Weak::upgrade)?;
        (known.kind == list.kind() && list.is(&known.entries)).then_some(known)
    }

    /// Returns the list, shared with the other slaves of the code that offer the same, else charged to the account.
    pub(super) fn share(
        self: &Arc<Self>,
        list: &RawList<'_>,
        limits: &CodeLimits,
    ) -> Result<Arc<ChargedList>, CatalogRefusal> {
        if let Some(known) = self.known(list) {
            return Ok(known);
        }
        let charged = self.charge(list, limits)?;
        let mut lists = self.lists.lock();
        if lists.len() >= MIN_TRACKED_LISTS && lists.len() == lists.capacity() {
            lists.retain(|_, list| list.strong_count() > 0);
        }
        lists.insert(list.hash(&self.hasher), Arc::downgrade(&charged));
        Ok(charged)
    }

    fn charge(
        self: &Arc<Self>,
        list: &RawList<'_>,
        limits: &CodeLimits,
    ) -> Result<Arc<ChargedList>, CatalogRefusal> {
        let (kind, bytes, count) = (list.kind(), list.bytes(), list.len());
        // What this adds is taken back by the drop, whichever limit is exceeded.
        let mut charged = ChargedList { entries: Vec::new(), kind, bytes, account: Arc::clone(self) };
        let entries = add(&self.entries[kind as usize], count);
        let (own, total) = (add(&self.bytes, bytes), add(&self.budget.used, bytes));
        let refusal = if own > limits.catalog_bytes {
            Some(CatalogRefusal::Bytes(limits.catalog_bytes))
        } else if entries > limits.tools {
            Some(CatalogRefusal::Entries { kind, limit: limits.tools })
        } else if total > self.budget.limit {
            Some(CatalogRefusal::Total(self.budget.limit))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.entries[kind as usize].fetch_sub(count, Ordering::AcqRel);
            return Err(refusal);
        }
        let Ok(entries) = list.entries() else {
            self.entries[kind as usize].fetch_sub(count, Ordering::AcqRel);
            return Err(CatalogRefusal::Unreadable);
        };
        charged.entries = entries;
        Ok(Arc::new(charged))
    }

    /// Returns bytes and entries that are charged, for tests.
    #[cfg(test)]
    pub(super) fn usage(&self) -> (usize, usize) {
        let entries = self.entries.iter().map(|count| count.load(Ordering::Acquire)).sum();
        (self.bytes.load(Ordering::Acquire) + self.waiting.load(Ordering::Acquire), entries)
    }
}

impl Drop for ChargedList {
    fn drop(&mut self) {
        let account = &self.account;
        account.entries[self.kind as usize].fetch_sub(self.entries.len(), Ordering::AcqRel);
        account.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        account.budget.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl WaitingBytes {
    /// Charges this many bytes instead of those before. On a refusal nothing is charged any more.
    pub(super) fn set(
        &mut self,
        bytes: usize,
        account: &Arc<CatalogAccount>,
        limits: &CodeLimits,
    ) -> Result<(), CatalogRefusal> {
        *self = Self::default();
        if bytes == 0 {
            return Ok(());
        }
        let charged = Self { bytes, account: Some(Arc::clone(account)) };
        let (own, total) = (add(&account.waiting, bytes), add(&account.budget.used, bytes));
        if own > limits.catalog_bytes {
            return Err(CatalogRefusal::Bytes(limits.catalog_bytes));
        }
        if total > account.budget.limit {
            return Err(CatalogRefusal::Total(account.budget.limit));
        }
        *self = charged;
        Ok(())
    }
}

impl Drop for WaitingBytes {
    fn drop(&mut self) {
        if let Some(account) = self.account.take() {
            account.waiting.fetch_sub(self.bytes, Ordering::AcqRel);
            account.budget.used.fetch_sub(self.bytes, Ordering::AcqRel);
        }
    }
}

/// Adds to a count, and returns the new one.
fn add(to: &AtomicUsize, count: usize) -> usize {
    to.fetch_add(count, Ordering::AcqRel).saturating_add(count)
}
