//! Inboxes of streams that a proxy has: what other proxies post to a stream's session is handed on as an event (docs/PROTOCOL.md,
//! "Posting"). The slave cannot read what it carries. Must not know calls of backends.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::mcp::failure::Failure;
use protocol::mcp::subscription::is_sealed;
use tokio::sync::mpsc;

/// Messages that may wait in one inbox.
const MAX_WAITING: usize = 16;

/// The inboxes by session; the newest of a session counts.
#[derive(Default)]
pub(super) struct Inboxes(Mutex<Open>);

#[derive(Default)]
struct Open {
    inboxes: HashMap<String, (u64, mpsc::Sender<Bytes>)>,
    last: u64,
}

/// An open inbox, until it is dropped.
pub(super) struct Inbox {
    inboxes: Arc<Inboxes>,
    session: String,
    number: u64,
    messages: mpsc::Receiver<Bytes>,
}

impl Inboxes {
    /// Opens the inbox of a session.
    pub(super) fn open(self: &Arc<Self>, session: &str) -> Inbox {
        let (sender, messages) = mpsc::channel(MAX_WAITING);
        let mut open = self.0.lock();
        open.last += 1;
        let number = open.last;
        open.inboxes.insert(session.to_owned(), (number, sender));
        Inbox { inboxes: Arc::clone(self), session: session.to_owned(), number, messages }
    }

    /// Hands a message on.
    ///
    /// # Errors
    /// The session has no inbox here, the inbox is full, or the message is none that proxies seal.
    pub(super) fn post(&self, session: Option<&str>, message: &Bytes) -> Result<(), Failure> {
        if !is_sealed(message) {
            return Err(Failure::InvalidRequest("it is not a sealed message".into()));
        }
        let open = self.0.lock();
        let (_, sender) =
            session.and_then(|session| open.inboxes.get(session)).ok_or(Failure::SessionNotFound)?;
        sender.try_send(message.clone()).map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => Failure::SessionNotFound,
            mpsc::error::TrySendError::Full(_) => Failure::Overloaded {
                what: "messages for the stream of this session wait to be read".into(),
                retry_after: 1,
            },
        })
    }
}

impl Inbox {
    /// Waits for a message; `None`: another call has opened the inbox of the session.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        self.messages.recv().await
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut open = self.inboxes.0.lock();
        if open.inboxes.get(&self.session).is_some_and(|(number, _)| *number == self.number) {
            open.inboxes.remove(&self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::mcp::failure::FailureKind;

    use super::*;

    #[test]
    fn a_message_reaches_the_newest_inbox_of_its_session_alone() {
        let inboxes = Arc::new(Inboxes::default());
        let post = |session: Option<&str>, text: &'static [u8]| {
            inboxes.post(session, &Bytes::from_static(text)).map_err(|failure| failure.kind())
        };
        assert_eq!(post(Some("a"), b"x"), Err(FailureKind::SessionNotFound));
        let (mut old, mut other) = (inboxes.open("a"), inboxes.open("b"));
        let mut new = inboxes.open("a");
        assert_eq!(post(Some("a"), b"x-_1"), Ok(()));
        assert_eq!(post(None, b"x"), Err(FailureKind::SessionNotFound));
        for text in [&b"{}"[..], b"\"", b"a b", b"a\n", "ä".as_bytes()] {
            assert_eq!(post(Some("a"), text), Err(FailureKind::InvalidRequest));
        }
        assert_eq!(new.messages.try_recv().unwrap(), "x-_1");
        assert!(old.messages.try_recv().is_err() && other.messages.try_recv().is_err());
        drop(old);
        for _ in 0..MAX_WAITING {
            assert_eq!(post(Some("a"), b"y"), Ok(()), "the older one takes nothing along");
        }
        assert_eq!(post(Some("a"), b"y"), Err(FailureKind::Overloaded));
        drop((new, other));
        assert!(inboxes.0.lock().inboxes.is_empty());
    }
}
