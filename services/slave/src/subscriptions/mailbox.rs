//! The updates that wait for one client: the last one of each resource, so that a slow reader costs a bounded memory and gets the
//! newest; and notifications of backends, as many as fit. Must not know where they come from.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::mcp::subscription::{MAX_SUBSCRIBED, ResourceUpdate};
use tokio::sync::watch;

use crate::call::TaskOrigin;

/// Most notifications that wait for one client, and their bytes. Those beyond are dropped.
const MAX_NOTICES: usize = 64;
const MAX_NOTICE_BYTES: usize = 256 * 1024;

/// A notification of a backend for one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// The whole message on one line, as the backend wrote it.
    pub(crate) message: Bytes,
    /// The task that the message is about.
    pub(crate) task: Option<NoticedTask>,
}

/// The task that a notification is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoticedTask {
    /// The backend's name.
    pub(crate) backend: Arc<str>,
    pub(crate) origin: TaskOrigin,
}

/// What a reader takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mail {
    /// An update of a resource.
    Update(ResourceUpdate),
    /// A notification.
    Notice(Notice),
}

#[derive(Default)]
struct State {
    /// Parameters of the last update by URI.
    updates: HashMap<String, Bytes>,
    /// URIs in the order of their first update that was not read.
    order: VecDeque<String>,
    notices: VecDeque<Notice>,
    notice_bytes: usize,
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

    /// Puts a notification in, behind those that wait. Returns false where nobody reads, or too much waits.
    pub(crate) fn put_notice(&self, notice: Notice) -> bool {
        {
            let state = &mut *self.state.lock();
            let bytes = state.notice_bytes + notice.message.len();
            if state.readers.is_empty() || state.notices.len() >= MAX_NOTICES || bytes > MAX_NOTICE_BYTES {
                return false;
            }
            state.notice_bytes = bytes;
            state.notices.push_back(notice);
        }
        self.notify();
        true
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

    fn take(&self, reader: u64) -> Option<Mail> {
        let state = &mut *self.state.lock();
        if state.readers.last() != Some(&reader) {
            return None;
        }
        if let Some(notice) = state.notices.pop_front() {
            state.notice_bytes -= notice.message.len();
            return Some(Mail::Notice(notice));
        }
        let uri = state.order.pop_front()?;
        let params = state.updates.remove(&uri)?;
        Some(Mail::Update(ResourceUpdate { uri, params }))
    }

    fn notify(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Reader {
    /// Returns what this reader is to pass on next. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Mail {
        loop {
            self.changes.mark_unchanged();
            if let Some(mail) = self.mailbox.take(self.number) {
                return mail;
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
        {
            let state = &mut *self.mailbox.state.lock();
            state.readers.retain(|number| *number != self.number);
            if state.readers.is_empty() {
                state.notices.clear();
                state.notice_bytes = 0;
            }
        }
        self.mailbox.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    async fn next(reader: &mut Reader) -> ResourceUpdate {
        match reader.next().await {
            Mail::Update(update) => update,
            Mail::Notice(notice) => panic!("{notice:?}"),
        }
    }

    fn notice(text: &str) -> Notice {
        Notice { message: Bytes::from(text.to_owned()), task: None }
    }

    #[tokio::test]
    async fn notifications_wait_for_a_reader_that_is_there_in_order_and_in_bounds() {
        let mailbox = Mailbox::new();
        assert!(!mailbox.put_notice(notice("early")), "nobody reads");
        let mut reader = mailbox.reader();
        assert!(mailbox.put_notice(notice("1")) && mailbox.put_notice(notice("2")));
        for text in ["1", "2"] {
            assert_eq!(reader.next().await, Mail::Notice(notice(text)));
        }
        let taken =
            (0..MAX_NOTICES + 5).filter(|number| mailbox.put_notice(notice(&number.to_string()))).count();
        assert_eq!(taken, MAX_NOTICES);
        for number in 0..MAX_NOTICES {
            assert_eq!(reader.next().await, Mail::Notice(notice(&number.to_string())));
        }
        let half = "x".repeat(MAX_NOTICE_BYTES / 2);
        assert!(mailbox.put_notice(notice(&half)) && mailbox.put_notice(notice(&half)));
        assert!(!mailbox.put_notice(notice("x")));
        drop(reader);
        let mut reader = mailbox.reader();
        assert!(reader.next().now_or_never().is_none(), "they were for the stream that is gone");
        assert!(mailbox.put_notice(notice(&half)));
    }

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
        assert_eq!((next(&mut reader).await, next(&mut reader).await), (update("a", "3"), update("b", "2")));
        assert!(reader.next().now_or_never().is_none());
        for number in 0..MAX_SUBSCRIBED + 5 {
            mailbox.put(update(&number.to_string(), "x"));
        }
        assert_eq!(next(&mut reader).await.uri, "5");
        assert_eq!(mailbox.state.lock().updates.len(), MAX_SUBSCRIBED - 1);
    }

    #[tokio::test]
    async fn the_newest_reader_takes_updates_and_what_it_leaves_goes_to_the_one_before() {
        let mailbox = Mailbox::new();
        mailbox.put(update("early", "1"));
        let mut old = mailbox.reader();
        assert_eq!(next(&mut old).await.uri, "early", "what came before a stream was opened waits for it");
        let mut new = mailbox.reader();
        mailbox.put(update("a", "1"));
        assert!(old.next().now_or_never().is_none());
        assert_eq!(next(&mut new).await.uri, "a");
        mailbox.put(update("b", "1"));
        let waiting = tokio::spawn(async move { next(&mut old).await });
        drop(new);
        assert_eq!(waiting.await.unwrap().uri, "b");
        assert!(mailbox.is_unread());
    }
}
