//! Parts that wait because their code has used up its changes: of each list, the newest that came. Must not know when they are
//! taken.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::mcp::catalog::{BackendPart, CatalogError, CatalogPart, ListChange, MAX_BACKENDS, SlaveState};

use super::account::{CatalogAccount, WaitingBytes};
use super::refusal::CatalogRefusal;
use crate::access::CodeLimits;

/// Change of one list that waits.
#[derive(Debug, Default)]
enum WaitingChange {
    #[default]
    Unchanged,
    Removed,
    Replaced(Box<str>),
}

#[derive(Debug, Default)]
struct WaitingBackend {
    position: Option<u32>,
    gone: bool,
    lists: [WaitingChange; 4],
    server: Option<Box<str>>,
    /// Why lists are removed that the slave wanted to replace.
    refusal: Option<CatalogRefusal>,
}

/// Parts that wait.
#[derive(Debug, Default)]
pub(super) struct PendingParts {
    backends: BTreeMap<String, WaitingBackend>,
    state: Option<SlaveState>,
    charged: WaitingBytes,
}

impl PendingParts {
    pub(super) fn is_empty(&self) -> bool {
        self.backends.is_empty() && self.state.is_none()
    }

    /// Adds a part in place of what it replaces. Where that is more than the code may have waiting, the lists of the part's
    /// backend wait to be removed instead, with the refusal.
    pub(super) fn add(
        &mut self,
        part: &CatalogPart<'_>,
        account: &Arc<CatalogAccount>,
        limits: &CodeLimits,
    ) -> Result<(), CatalogError> {
        let part = match part {
            CatalogPart::Slave(state) => {
                self.state = Some(state.clone());
                return Ok(());
            }
            CatalogPart::Backend(part) => part,
        };
        if self.backends.len() >= MAX_BACKENDS && !self.backends.contains_key(&*part.backend) {
            return Err(CatalogError::TooManyBackends);
        }
        let backend = self.backends.entry(part.backend.clone().into_owned()).or_default();
        backend.add(part);
        if let Err(refusal) = self.charge(account, limits) {
            self.refuse(&part.backend, &refusal);
            // What was there before fitted, unless others of the code took its place meanwhile.
            if let Err(refusal) = self.charge(account, limits) {
                self.backends.values_mut().for_each(|backend| backend.refuse(refusal.clone()));
            }
        }
        Ok(())
    }

    fn charge(&mut self, account: &Arc<CatalogAccount>, limits: &CodeLimits) -> Result<(), CatalogRefusal> {
        let bytes = self.backends.values().map(WaitingBackend::bytes).sum();
        self.charged.set(bytes, account, limits)
    }

    /// Has a backend's lists removed, if anything waits for it.
    pub(super) fn refuse(&mut self, backend: &str, refusal: &CatalogRefusal) {
        if let Some(backend) = self.backends.get_mut(backend) {
            backend.refuse(refusal.clone());
        }
    }

    /// Returns the backends whose lists were refused while they waited.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (&str, &CatalogRefusal)> {
        self.backends.iter().filter_map(|(name, backend)| Some((name.as_str(), backend.refusal.as_ref()?)))
    }

    /// Drops everything that waits.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Drops what waits of backends.
    pub(super) fn clear_backends(&mut self) {
        self.backends.clear();
        self.charged = WaitingBytes::default();
    }

    /// Returns the parts that wait, backends first.
    pub(super) fn parts(&self) -> impl Iterator<Item = CatalogPart<'_>> {
        let backends = self.backends.iter().map(|(name, backend)| CatalogPart::Backend(backend.part(name)));
        backends.chain(self.state.iter().cloned().map(CatalogPart::Slave))
    }
}

impl WaitingBackend {
    fn add(&mut self, part: &BackendPart<'_>) {
        self.position = part.position.or(self.position);
        self.gone = part.gone;
        self.refusal = None;
        if part.gone {
            // One that comes again begins anew, also in its place.
            self.position = Some(0);
            self.remove_lists();
        }
        if let Some(server) = part.server {
            self.server = Some(server.into());
        }
        for (waiting, change) in self.lists.iter_mut().zip(part.lists) {
            match change {
                ListChange::Unchanged => {}
                ListChange::Removed => *waiting = WaitingChange::Removed,
                // A copy: the message that the text stands in may be much longer.
                ListChange::Replaced(list) => *waiting = WaitingChange::Replaced(list.into()),
            }
        }
    }

    fn refuse(&mut self, refusal: CatalogRefusal) {
        self.remove_lists();
        self.refusal = Some(refusal);
    }

    fn remove_lists(&mut self) {
        self.lists = [const { WaitingChange::Removed }; 4];
    }

    fn bytes(&self) -> usize {
        let bytes = |list: &WaitingChange| match list {
            WaitingChange::Replaced(list) => list.len(),
            WaitingChange::Unchanged | WaitingChange::Removed => 0,
        };
        self.lists.iter().map(bytes).sum::<usize>() + self.server.as_ref().map_or(0, |server| server.len())
    }

    fn part<'a>(&'a self, name: &'a str) -> BackendPart<'a> {
        let lists = self.lists.each_ref().map(|list| match list {
            WaitingChange::Unchanged => ListChange::Unchanged,
            WaitingChange::Removed => ListChange::Removed,
            WaitingChange::Replaced(list) => ListChange::Replaced(list),
        });
        BackendPart {
            backend: Cow::Borrowed(name),
            position: self.position,
            gone: self.gone,
            lists,
            server: self.server.as_deref(),
        }
    }
}
