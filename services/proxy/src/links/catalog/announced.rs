//! Catalog that one slave has announced, in parts, within the limits of its code. Must not know links, or what clients see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use protocol::mcp::catalog::{
    BackendPart, Catalog, CatalogError, CatalogPart, CatalogParts, HeldList, ListChange, ListKind, RawList,
    ServerFacts, SlaveState, backend_at_head,
};

use super::account::{CatalogAccount, ChargedList};
use super::pending::PendingParts;
use super::refusal::CatalogRefusal;
use crate::access::CodeLimits;

/// Names that are told of where several backends have them.
const MAX_TOLD_NAMES: usize = 8;

/// Effect of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::links) enum Received {
    /// What is offered is the same as before.
    Unchanged,
    /// Something else is offered.
    Changed,
    /// The part waits, because the code has used up its changes, until this time at least.
    Later(Instant),
}

/// Lists that are left out, by backend and kind; of a part that was not read, the kind is not known.
type Refusals = BTreeMap<(String, Option<ListKind>), CatalogRefusal>;

/// Catalog of one slave in parts.
#[derive(Debug, Default)]
pub(in crate::links) struct AnnouncedCatalog {
    parts: CatalogParts<Arc<ChargedList>>,
    refusals: Refusals,
    /// Whether a part was refused that did not say of which backend it is.
    unnamed: Option<CatalogRefusal>,
    pending: PendingParts,
    /// Refusals that were not reported yet.
    unreported: Vec<CatalogRefusal>,
}

impl AnnouncedCatalog {
    /// Begins a new link: the slave sends its catalog again.
    pub(in crate::links) fn begin(&mut self) {
        self.parts.begin();
        self.pending.clear();
        self.unnamed = None;
    }

    /// Returns whether the slave has said that its catalog is complete, on this link.
    pub(in crate::links) fn is_complete(&self) -> bool {
        self.parts.state().complete
    }

    /// Takes a part (JSON).
    ///
    /// # Errors
    /// The part breaks the protocol.
    pub(in crate::links) fn receive(
        &mut self,
        json: &[u8],
        account: &Arc<CatalogAccount>,
        limits: &CodeLimits,
        now: Instant,
    ) -> Result<Received, CatalogError> {
        let part = CatalogPart::parse(json)?;
        // While parts wait, lists are not looked into: a flood costs as little as it can.
        if self.pending.is_empty() {
            let taken = match self.cost(&part, account)? {
                Cost::Nothing => return self.apply(&part, account, limits).map(|()| Received::Unchanged),
                Cost::Free => Ok(()),
                Cost::Change if self.is_complete() => account.take_change(limits, now),
                Cost::Change => account.take_first_part(now),
            };
            if taken.is_ok() {
                self.apply(&part, account, limits)?;
                return Ok(Received::Changed);
            }
        }
        self.pending.add(&part, account, limits)?;
        self.apply_pending(account, limits, now)
    }

    /// Takes the whole list of a plain slave's tools: one backend without a name.
    pub(in crate::links) fn receive_tools(
        &mut self,
        list: &RawList<'_>,
        account: &Arc<CatalogAccount>,
        limits: &CodeLimits,
    ) -> Result<(), CatalogError> {
        self.parts.place("", None)?;
        self.set("", list, account, limits);
        self.parts.set_state(SlaveState { complete: true, ..SlaveState::default() });
        Ok(())
    }

    /// Applies the parts that wait, if the code has a change left.
    pub(in crate::links) fn apply_pending(
        &mut self,
        account: &Arc<CatalogAccount>,
        limits: &CodeLimits,
        now: Instant,
    ) -> Result<Received, CatalogError> {
        if self.pending.is_empty() {
            return Ok(Received::Unchanged);
        }
        let taken =
            if self.is_complete() { account.take_change(limits, now) } else { account.take_first_part(now) };
        if let Err(next) = taken {
            return Ok(Received::Later(next));
        }
        let pending = std::mem::take(&mut self.pending);
        for part in pending.parts() {
            self.apply(&part, account, limits)?;
        }
        for (backend, refusal) in pending.refusals() {
            self.refuse(backend, None, refusal.clone());
        }
        Ok(Received::Changed)
    }

    /// Returns whether parts wait.
    pub(in crate::links) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Records that a part was refused before all of it had come, and removes what it was to replace as far as that is known:
    /// the lists of the backend that the part's beginning names, else everything.
    pub(in crate::links) fn refuse_unread(&mut self, head: &[u8], refusal: CatalogRefusal) {
        if let Some(backend) = backend_at_head(head) {
            self.pending.refuse(&backend, &refusal);
            self.parts.remove(&backend);
            self.refusals.retain(|(known, kind), _| *known != backend || kind.is_none());
            self.refuse(&backend, None, refusal);
            return;
        }
        self.pending.clear_backends();
        self.parts.clear();
        self.refusals.clear();
        if self.unnamed.as_ref() != Some(&refusal) {
            self.unreported.push(refusal.clone());
        }
        self.unnamed = Some(refusal);
    }

    /// Records a refusal, to be reported unless it stands already.
    fn refuse(&mut self, backend: &str, kind: Option<ListKind>, refusal: CatalogRefusal) {
        let key = (backend.to_owned(), kind);
        if self.refusals.get(&key) != Some(&refusal) {
            self.unreported.push(refusal.clone());
        }
        self.refusals.insert(key, refusal);
    }

    /// Takes the refusals that were not reported yet.
    pub(in crate::links) fn take_refusals(&mut self) -> Vec<CatalogRefusal> {
        std::mem::take(&mut self.unreported)
    }

    /// Returns all parts as one catalog, which is degraded where the slave says so or something was left out.
    pub(in crate::links) fn merge(&self) -> Catalog {
        let merged = self.parts.merge();
        let mut catalog = merged.catalog;
        let mut problems: Vec<String> = Vec::new();
        for ((backend, kind), refusal) in &self.refusals {
            let what = kind.map_or("a part of the catalog", ListKind::name);
            problems.push(format!("{what} of backend {backend:?} left out: {refusal}"));
        }
        problems.extend(self.unnamed.iter().map(|refusal| format!("the catalog is left out: {refusal}")));
        if !merged.repeated.is_empty() {
            let told = merged.repeated.len().min(MAX_TOLD_NAMES);
            problems.push(format!("several backends have {}", merged.repeated[..told].join(", ")));
        }
        problems.extend(
            catalog
                .degraded
                .take()
                .map(|reason| if reason.is_empty() { "it does not say what".to_owned() } else { reason }),
        );
        catalog.degraded = (!problems.is_empty()).then(|| problems.join("; "));
        catalog
    }

    /// Returns what a part costs. Names in its lists are checked on the way.
    fn cost(&self, part: &CatalogPart<'_>, account: &CatalogAccount) -> Result<Cost, CatalogError> {
        let part = match part {
            CatalogPart::Slave(state) => return Ok(self.cost_of_state(state)),
            CatalogPart::Backend(part) => part,
        };
        if part.gone {
            let has = self.parts.has(&part.backend);
            return Ok(if has { Cost::Change } else { Cost::Nothing });
        }
        let mut cost =
            if self.parts.moves(&part.backend, part.position) { Cost::Change } else { Cost::Nothing };
        if let Some(facts) = part.server
            && self.parts.server(&part.backend) != Some(&ServerFacts::parse(facts)?)
        {
            cost = Cost::Change;
        }
        for (kind, change) in ListKind::ALL.into_iter().zip(part.lists) {
            let before = self.parts.list(&part.backend, kind);
            cost = cost.max(match change {
                ListChange::Unchanged => Cost::Nothing,
                ListChange::Removed if before.is_none() => Cost::Nothing,
                ListChange::Removed => Cost::Change,
                ListChange::Replaced(list) => {
                    let list = RawList::parse(kind, list)?;
                    match before {
                        Some(before) if list.is(before.entries()) => {
                            let same = list.hints() == self.parts.hints(&part.backend, kind);
                            if same { Cost::Nothing } else { Cost::Change }
                        }
                        None if account.knows(&list) => Cost::Free,
                        _ => Cost::Change,
                    }
                }
            });
        }
        Ok(cost)
    }

    fn cost_of_state(&self, state: &SlaveState) -> Cost {
        let before = self.parts.state();
        if state == before {
            Cost::Nothing
        } else if state.complete
            && state.degraded == before.degraded
            && state.unavailable == before.unavailable
        {
            Cost::Free
        } else {
            Cost::Change
        }
    }

    fn apply(
        &mut self,
        part: &CatalogPart<'_>,
        account: &Arc<CatalogAccount>,
        limits: &CodeLimits,
    ) -> Result<(), CatalogError> {
        match part {
            CatalogPart::Slave(state) => {
                self.parts.set_state(state.clone());
                self.refusals.retain(|(backend, _), _| self.parts.has(backend));
            }
            CatalogPart::Backend(part) if part.gone => {
                self.parts.remove(&part.backend);
                self.refusals.retain(|(backend, _), _| *backend != part.backend);
            }
            CatalogPart::Backend(part) => self.apply_backend(part, account, limits)?,
        }
        Ok(())
    }

    fn apply_backend(
        &mut self,
        part: &BackendPart<'_>,
        account: &Arc<CatalogAccount>,
        limits: &CodeLimits,
    ) -> Result<(), CatalogError> {
        self.parts.place(&part.backend, part.position)?;
        if part.lists.iter().any(|list| !matches!(list, ListChange::Unchanged)) {
            self.refusals.remove(&(part.backend.clone().into_owned(), None));
        }
        if let Some(facts) = part.server {
            self.parts.set_server(&part.backend, Some(ServerFacts::parse(facts)?));
        }
        for (kind, change) in ListKind::ALL.into_iter().zip(part.lists) {
            match change {
                ListChange::Unchanged => {}
                ListChange::Removed => {
                    self.parts.set(&part.backend, kind, None);
                    self.refusals.remove(&(part.backend.clone().into_owned(), Some(kind)));
                }
                ListChange::Replaced(list) => {
                    self.set(&part.backend, &RawList::parse(kind, list)?, account, limits);
                }
            }
        }
        Ok(())
    }

    /// Replaces a list, or leaves it out where the code may not have it.
    fn set(&mut self, backend: &str, list: &RawList<'_>, account: &Arc<CatalogAccount>, limits: &CodeLimits) {
        let kind = list.kind();
        self.parts.set_hints(backend, kind, list.hints());
        if self.parts.list(backend, kind).is_some_and(|before| list.is(before.entries())) {
            return;
        }
        // The old list is given back first: the new one takes its place.
        drop(self.parts.set(backend, kind, None));
        match account.share(list, limits) {
            Ok(shared) => {
                drop(self.parts.set(backend, kind, Some(shared)));
                self.refusals.remove(&(backend.to_owned(), Some(kind)));
            }
            Err(refusal) => self.refuse(backend, Some(kind), refusal),
        }
    }
}

/// Cost of a part, by what it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    /// Nothing changes.
    Nothing,
    /// Something changes that needs no share of the code's changes: another slave of the code offers the same list, or the
    /// catalog is complete now.
    Free,
    /// One of the code's changes.
    Change,
}
