//! The lists of which a child has said that they changed, until they are read again. Must not know the child.

use std::sync::atomic::{AtomicU8, Ordering};

use protocol::mcp::catalog::ListKind;
use tokio::sync::Notify;

/// A set of lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ListSet(u8);

impl ListSet {
    /// Returns the set of these lists.
    pub(super) fn of(kinds: &[ListKind]) -> Self {
        Self(kinds.iter().fold(0, |set, kind| set | 1 << *kind as u8))
    }

    /// Returns whether the list is in the set.
    pub(super) fn has(self, kind: ListKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

/// Lists that changed.
#[derive(Debug, Default)]
pub(super) struct ChangedLists {
    set: AtomicU8,
    changed: Notify,
}

impl ChangedLists {
    /// Adds lists.
    pub(super) fn add(&self, lists: ListSet) {
        self.set.fetch_or(lists.0, Ordering::AcqRel);
        self.changed.notify_one();
    }

    /// Waits until lists were added since the last time. Cancel-safe.
    pub(super) async fn wait(&self) {
        self.changed.notified().await;
    }

    /// Takes the lists that changed.
    pub(super) fn take(&self) -> ListSet {
        ListSet(self.set.swap(0, Ordering::AcqRel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_add_up_until_they_are_taken() {
        let changed = ChangedLists::default();
        changed.add(ListSet::of(&[ListKind::Prompts]));
        changed.add(ListSet::of(&[ListKind::Resources, ListKind::ResourceTemplates]));
        changed.wait().await;
        let taken = changed.take();
        let has: Vec<ListKind> = ListKind::ALL.into_iter().filter(|kind| taken.has(*kind)).collect();
        assert_eq!(has, [ListKind::Prompts, ListKind::Resources, ListKind::ResourceTemplates]);
        assert_eq!(changed.take(), ListSet::default());
    }
}
