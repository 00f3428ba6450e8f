//! GET streams of sessions: which of a session's streams carries its messages, and the end of all of them with the session.
//!
//! A message goes to one stream of a session only (2025-11-25, Transports, "Multiple Connections"): to the one that was opened last, since
//! an older one may belong to a connection that nobody reads any more. Must not know HTTP.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use protocol::mcp::catalog::ListKind;

use crate::calls::Listing;

/// Id of a session.
type SessionId = [u8; 16];

/// What a stream does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It carries the session's messages.
    Carries,
    /// A newer stream carries them.
    Waits,
    /// The session has ended.
    Over,
}

/// Streams of one session, the newest one last.
#[derive(Default)]
struct SessionStreams {
    streams: Vec<(u64, watch::Sender<Turn>)>,
    /// The list of which the session was told last, so that a stream that takes over does not tell of it again.
    told: Option<Arc<Listing>>,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<SessionId, SessionStreams>,
    last: u64,
}

/// Open GET streams by session. Streams of clients without a session are not among them.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<Inner>);

/// A stream's place among those of its session, until it is dropped.
pub(crate) struct Listener {
    listeners: Arc<Listeners>,
    session: SessionId,
    number: u64,
    turn: watch::Receiver<Turn>,
}

impl Listeners {
    /// Adds a stream of a session: it carries the session's messages from now on.
    pub(crate) fn open(self: &Arc<Self>, session: SessionId) -> Listener {
        let (sender, turn) = watch::channel(Turn::Carries);
        let mut inner = self.0.lock();
        inner.last += 1;
        let number = inner.last;
        let streams = &mut inner.sessions.entry(session).or_default().streams;
        if let Some((_, before)) = streams.last() {
            before.send_replace(Turn::Waits);
        }
        streams.push((number, sender));
        Listener { listeners: Arc::clone(self), session, number, turn }
    }

    /// Ends all streams of a session.
    pub(crate) fn end(&self, session: &SessionId) {
        if let Some(ended) = self.0.lock().sessions.remove(session) {
            for (_, stream) in ended.streams {
                stream.send_replace(Turn::Over);
            }
        }
    }
}

impl Listener {
    /// Waits until this stream carries the session's messages; `None`: the session has ended. Cancel-safe.
    pub(crate) async fn wait_for_turn(&mut self) -> Option<()> {
        // The sender is gone only with the session.
        let turn = *self.turn.wait_for(|turn| *turn != Turn::Waits).await.ok()?;
        (turn == Turn::Carries).then_some(())
    }

    /// Waits until this stream no longer carries the session's messages. Cancel-safe.
    pub(crate) async fn turn_changed(&mut self) {
        let _ = self.turn.wait_for(|turn| *turn != Turn::Carries).await;
    }

    /// Takes it on this stream to tell of changed lists, and returns which they are: none if another stream carries the messages, or the
    /// session was told. `before`: what the stream knew when it was opened.
    pub(crate) fn claim(&self, before: &Listing, listing: &Arc<Listing>) -> Vec<ListKind> {
        let mut inner = self.listeners.0.lock();
        let Some(session) = inner.sessions.get_mut(&self.session) else { return Vec::new() };
        if session.streams.last().is_none_or(|(number, _)| *number != self.number) {
            return Vec::new();
        }
        let told = session.told.replace(Arc::clone(listing));
        told.as_deref().unwrap_or(before).changed_kinds(listing)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut inner = self.listeners.0.lock();
        let Some(session) = inner.sessions.get_mut(&self.session) else { return };
        session.streams.retain(|(number, _)| *number != self.number);
        match session.streams.last() {
            Some((_, newest)) => {
                newest.send_replace(Turn::Carries);
            }
            None => {
                inner.sessions.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::mcp::entry_array::EntryArray;

    use super::*;

    fn list(name: &str) -> Arc<Listing> {
        let mut listing = Listing::default();
        listing.lists[0].entries = EntryArray::new([(name, name)]);
        Arc::new(listing)
    }

    fn turn(listener: &Listener) -> Turn {
        *listener.turn.borrow()
    }

    #[test]
    fn the_newest_stream_of_a_session_carries_its_messages_and_tells_each_list_once() {
        let listeners = Arc::new(Listeners::default());
        let (first, other) = (listeners.open([1; 16]), listeners.open([2; 16]));
        let second = listeners.open([1; 16]);
        assert_eq!([&first, &second, &other].map(turn), [Turn::Waits, Turn::Carries, Turn::Carries]);
        let (before, list) = (Listing::default(), list("a"));
        let told = |stream: &Listener, list| !stream.claim(&before, list).is_empty();
        assert_eq!(
            [&first, &second, &second, &other].map(|stream| told(stream, &list)),
            [false, true, false, true]
        );
        drop(second);
        assert_eq!((turn(&first), told(&first, &list)), (Turn::Carries, false), "it was told of this list");
        assert!(told(&first, &super::tests::list("b")));
        drop((first, other));
        assert!(listeners.0.lock().sessions.is_empty());
    }

    #[test]
    fn a_session_s_end_ends_its_streams_and_no_other() {
        let listeners = Arc::new(Listeners::default());
        let (one, two, other) = (listeners.open([1; 16]), listeners.open([1; 16]), listeners.open([2; 16]));
        listeners.end(&[1; 16]);
        listeners.end(&[3; 16]);
        assert_eq!([&one, &two, &other].map(turn), [Turn::Over, Turn::Over, Turn::Carries]);
        assert!(two.claim(&Listing::default(), &list("a")).is_empty());
        let later = listeners.open([1; 16]);
        drop((one, two));
        assert_eq!(turn(&later), Turn::Carries, "a stream of an ended session takes nothing along");
    }
}
