//! The updates that wait for one client: the last one of each resource, so that a slow reader costs a bounded memory and gets the
//! newest. Must not know where updates come from.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::mcp::subscription::{MAX_SUBSCRIBED, ResourceUpdate};
use tokio::sync::watch;

#[derive(Default)]
struct State {
    /// Parameters of the last update by URI.
    updates: HashMap<String, Bytes>,
    /// URIs in the order of their first update that was not read.
    order: VecDeque<String>,
    /// Numbers of the readers, the newest one last.
    readers: Vec<u64>,
    last_reader: u64,
}

/// The mailbox of one client. Its newest reader takes the updates: each goes to one stream only (2025-11-25, Transports, "Multiple
/// Connections").
pub(crate) struct Mailbox {
    state: Mutex<State>,
    /// The number of changes.
    changes: watch::Sender<u64>,
}

/// A reader of a mailbox, until it is dropped.
pub(crate) struct Reader {
    mailbox: Arc<Mailbox>,
    number: u64,
    changes: watch::Receiver<u64>,
}

impl Mailbox {
    /// Returns an empty mailbox without readers.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changes: watch::Sender::new(0) })
    }

    /// Puts an update in, in place of an earlier one of the same resource. Beyond [`MAX_SUBSCRIBED`] the oldest is dropped.
    pub(crate) fn put(&self, update: ResourceUpdate) {
        {
            let state = &mut *self.state.lock();
            if state.updates.insert(update.uri.clone(), update.params).is_none() {
                state.order.push_back(update.uri);
            }
            if state.order.len() > MAX_SUBSCRIBED
                && let Some(oldest) = state.order.pop_front()
            {
                state.updates.remove(&oldest);
            }
        }
        self.notify();
    }

    /// Adds a reader, which takes the updates from now on.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        let mut state = self.state.lock();
        state.last_reader += 1;
        let number = state.last_reader;
        state.readers.push(number);
        Reader { mailbox: Arc::clone(self), number, changes: self.changes.subscribe() }
    }

    /// Returns whether nobody reads.
    pub(crate) fn is_unread(&self) -> bool {
        self.state.lock().readers.is_empty()
    }

    fn take(&self, reader: u64) -> Option<ResourceUpdate> {
        let state = &mut *self.state.lock();
        if state.readers.last() != Some(&reader) {
            return None;
        }
        let uri = state.order.pop_front()?;
        let params = state.updates.remove(&uri)?;
        Some(ResourceUpdate { uri, params })
    }

    fn notify(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Reader {
    /// Returns the next update that this reader is to pass on. Cancel-safe.
    pub(crate) async fn next(&mut self) -> ResourceUpdate {
        loop {
            self.changes.mark_unchanged();
            if let Some(update) = self.mailbox.take(self.number) {
                return update;
            }
            if self.changes.changed().await.is_err() {
                // The mailbox, which has the sender, is held.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.mailbox.state.lock().readers.retain(|number| *number != self.number);
        self.mailbox.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn update(uri: &str, params: &'static str) -> ResourceUpdate {
        ResourceUpdate { uri: uri.into(), params: Bytes::from_static(params.as_bytes()) }
    }

    #[tokio::test]
    async fn a_slow_reader_gets_the_newest_update_of_each_resource_once_in_order() {
        let mailbox = Mailbox::new();
        let mut reader = mailbox.reader();
        for (uri, params) in [("a", "1"), ("b", "2"), ("a", "3")] {
            mailbox.put(update(uri, params));
        }
        assert_eq!((reader.next().await, reader.next().await), (update("a", "3"), update("b", "2")));
        assert!(reader.next().now_or_never().is_none());
        for number in 0..MAX_SUBSCRIBED + 5 {
            mailbox.put(update(&number.to_string(), "x"));
        }
        assert_eq!(reader.next().await.uri, "5");
        assert_eq!(mailbox.state.lock().updates.len(), MAX_SUBSCRIBED - 1);
    }

    #[tokio::test]
    async fn the_newest_reader_takes_updates_and_what_it_leaves_goes_to_the_one_before() {
        let mailbox = Mailbox::new();
        mailbox.put(update("early", "1"));
        let mut old = mailbox.reader();
        assert_eq!(old.next().await.uri, "early", "what came before a stream was opened waits for it");
        let mut new = mailbox.reader();
        mailbox.put(update("a", "1"));
        assert!(old.next().now_or_never().is_none());
        assert_eq!(new.next().await.uri, "a");
        mailbox.put(update("b", "1"));
        let waiting = tokio::spawn(async move { old.next().await });
        drop(new);
        assert_eq!(waiting.await.unwrap().uri, "b");
        assert!(mailbox.is_unread());
    }
}
