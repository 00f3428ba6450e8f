//! The backends in their order, and those that stand by to take the place of one. Must not know what is published.

use std::collections::HashSet;
use std::sync::Arc;

use protocol::mcp::catalog::CatalogEntry;
use tokio_util::task::TaskTracker;

use super::State;
use crate::backends::Backend;

/// A backend's place in the registry; never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SlotId(u64);

/// One backend.
pub(super) struct Slot {
    id: SlotId,
    pub(super) name: String,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) state: State,
    pub(super) tools: Vec<CatalogEntry>,
    /// It runs, but something is wrong with it.
    pub(super) ailing: Option<String>,
    /// Whoever may still call it; closed when it has left.
    pub(super) users: TaskTracker,
}

/// All of them.
#[derive(Default)]
pub(super) struct Slots {
    pub(super) list: Vec<Slot>,
    /// Each with the one whose place it takes when it is ready.
    waiting: Vec<(SlotId, Slot)>,
    last: u64,
    /// Problems with names that were logged already.
    pub(super) reported: HashSet<String>,
}

impl Slots {
    pub(super) fn add(&mut self, name: &str, backend: Arc<dyn Backend>) -> SlotId {
        let slot = self.slot(name, backend);
        let id = slot.id;
        self.list.push(slot);
        id
    }

    pub(super) fn stand_by(&mut self, name: &str, backend: Arc<dyn Backend>, place: SlotId) -> SlotId {
        let mut slot = self.slot(name, backend);
        let id = slot.id;
        let old = self.list.iter().find(|old| old.id == place);
        if let Some(old) = old.filter(|old| old.state != State::Ready) {
            // Its tools are not offered, but known: so they stay until the newcomer says what it has.
            slot.tools.clone_from(&old.tools);
            self.put(place, slot);
        } else {
            self.waiting.push((place, slot));
        }
        id
    }

    pub(super) fn withdraw(&mut self, id: SlotId) -> bool {
        let Some(index) = self.waiting.iter().position(|(_, slot)| slot.id == id) else { return false };
        self.waiting.remove(index).1.users.close();
        true
    }

    /// The name of the backend that has left the list.
    pub(super) fn remove(&mut self, id: SlotId) -> Option<String> {
        self.withdraw(id);
        let index = self.list.iter().position(|slot| slot.id == id)?;
        let gone = self.list.remove(index);
        gone.users.close();
        Some(gone.name)
    }

    pub(super) fn arrange(&mut self, order: &[SlotId]) {
        self.list.sort_by_key(|slot| order.iter().position(|id| *id == slot.id).unwrap_or(usize::MAX));
    }

    pub(super) fn users(&self, id: SlotId) -> TaskTracker {
        let all = self.list.iter().chain(self.waiting.iter().map(|(_, slot)| slot));
        // One that is gone has no users: a closed tracker says so.
        let gone = || {
            let tracker = TaskTracker::new();
            tracker.close();
            tracker
        };
        all.into_iter().find(|slot| slot.id == id).map_or_else(gone, |slot| slot.users.clone())
    }

    /// The changed one, if it is in the list then: one that stands by comes into it when it is ready.
    pub(super) fn change(&mut self, id: SlotId, change: impl FnOnce(&mut Slot)) -> Option<&Slot> {
        if let Some(index) = self.waiting.iter().position(|(_, slot)| slot.id == id) {
            let (_, slot) = &mut self.waiting[index];
            change(slot);
            if slot.state != State::Ready {
                return None;
            }
            let (place, slot) = self.waiting.remove(index);
            tracing::info!(backend = slot.name, "the changed backend is ready: it takes over");
            self.put(place, slot);
        } else {
            self.list.iter_mut().find(|slot| slot.id == id).map(change)?;
        }
        self.list.iter().find(|slot| slot.id == id)
    }

    /// Names and tools, in order.
    pub(super) fn offers(&self) -> impl Iterator<Item = (&str, &[CatalogEntry])> {
        self.list.iter().map(|slot| (slot.name.as_str(), slot.tools.as_slice()))
    }

    fn slot(&mut self, name: &str, backend: Arc<dyn Backend>) -> Slot {
        self.last += 1;
        Slot {
            id: SlotId(self.last),
            name: name.to_owned(),
            backend,
            state: State::Starting,
            tools: Vec::new(),
            ailing: None,
            users: TaskTracker::new(),
        }
    }

    fn put(&mut self, place: SlotId, slot: Slot) {
        if let Some(old) = self.list.iter_mut().find(|old| old.id == place) {
            std::mem::replace(old, slot).users.close();
        } else {
            self.list.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::Answer;
    use crate::executor::{CallSink, ToolCall};
    use futures_util::future::BoxFuture;
    use protocol::mcp::failure::Failure;

    struct Nobody;

    impl Backend for Nobody {
        fn call<'a>(
            &'a self,
            _: &'a ToolCall,
            _: &'a str,
            _: &'a mut dyn CallSink,
        ) -> BoxFuture<'a, Result<Answer, Failure>> {
            Box::pin(std::future::ready(Err(Failure::Internal)))
        }
    }

    fn order(slots: &Slots) -> Vec<SlotId> {
        slots.list.iter().map(|slot| slot.id).collect()
    }

    #[test]
    fn a_successor_takes_the_place_when_it_is_ready_and_not_before() {
        let mut slots = Slots::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| slots.add(name, Arc::new(Nobody)));
        slots.change(a, |slot| slot.state = State::Ready);
        let old = slots.users(a);
        let next = slots.stand_by("a", Arc::new(Nobody), a);
        slots.arrange(&[b, a, next]);
        assert_eq!(order(&slots), [b, a, c]);
        assert!(slots.change(next, |slot| slot.ailing = Some("late".into())).is_none());
        assert!(!old.is_closed());
        assert!(slots.change(next, |slot| slot.state = State::Ready).is_some());
        assert_eq!(order(&slots), [b, next, c]);
        assert!(old.is_closed() && !slots.users(next).is_closed());
        assert!(!slots.withdraw(next), "it has the place");
        // One that does not run is replaced at once.
        let quick = slots.stand_by("b", Arc::new(Nobody), b);
        assert_eq!(order(&slots), [quick, next, c]);
        let waiting = slots.stand_by("a", Arc::new(Nobody), next);
        assert!(slots.withdraw(waiting) && slots.users(waiting).is_closed());
        assert_eq!(slots.remove(next).as_deref(), Some("a"));
        assert_eq!(order(&slots), [quick, c]);
    }
}
