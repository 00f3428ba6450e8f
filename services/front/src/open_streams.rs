//! Streams of the transport of 2024-11-05 that this process has open, and the messages that clients post to them: here, or at another
//! replica, which seals them for the way through a slave. Must not know HTTP, nor who carries a sealed message.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::mcp::failure::Failure;
use tokio::sync::mpsc;

use crate::principal::Principal;
use crate::session::{MAX_CLOCK_SKEW, SESSION_ID_LEN, Sealer, Session};
use crate::usage::RETRY_AFTER;

/// Id of a session.
type SessionId = [u8; SESSION_ID_LEN];

/// Messages of one stream that may wait to be begun.
const MAX_WAITING: usize = 64;

/// First bytes of what is sealed, before the time of the post in seconds since 1970 and the message.
const PREFIX: &[u8] = b"posted\n";

/// Seconds after which a sealed message is not taken any more, apart from the difference between two clocks.
const MAX_AGE: u64 = 60;

/// Sealed messages that a stream remembers, so that none is taken twice.
const MAX_REMEMBERED: usize = 4096;

/// Characters of a sealed message that tell it from others: they hold its nonce.
const NONCE_CHARS: usize = 32;

/// The open streams by session.
#[derive(Default)]
pub(crate) struct OpenStreams(Mutex<HashMap<SessionId, mpsc::Sender<Bytes>>>);

/// A stream's place among the open ones, until it is dropped.
pub(crate) struct OpenStream {
    streams: Arc<OpenStreams>,
    session: SessionId,
    posted: mpsc::Receiver<Bytes>,
}

impl OpenStreams {
    /// Adds the stream of a session.
    pub(crate) fn open(self: &Arc<Self>, session: SessionId) -> OpenStream {
        let (sender, posted) = mpsc::channel(MAX_WAITING);
        self.0.lock().insert(session, sender);
        OpenStream { streams: Arc::clone(self), session, posted }
    }

    /// Hands a message to the stream of a session; `None`: this process does not have the stream.
    pub(crate) fn post(&self, session: &SessionId, message: &Bytes) -> Option<Result<(), Failure>> {
        match self.0.lock().get(session)?.try_send(message.clone()) {
            Ok(()) => Some(Ok(())),
            Err(mpsc::error::TrySendError::Closed(_)) => None,
            Err(mpsc::error::TrySendError::Full(_)) => Some(Err(Failure::ClientLimit {
                what: format!("{MAX_WAITING} messages of this session wait: read its stream"),
                retry_after: RETRY_AFTER,
            })),
        }
    }
}

impl OpenStream {
    /// Waits for a message. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        self.posted.recv().await
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.streams.0.lock().remove(&self.session);
    }
}

/// Seals a message for the stream of a session, which another replica has; `now` in seconds since 1970. `None` only if the system has no
/// random numbers.
pub(crate) fn seal(
    sealer: &Sealer,
    principal: &Principal,
    session: &Session,
    message: &[u8],
    now: u64,
) -> Option<String> {
    let plain = [PREFIX, &now.to_be_bytes(), message].concat();
    sealer.seal(&plain, principal, &session.id)
}

/// Reader of sealed messages of one stream: takes each of them once.
#[derive(Default)]
pub(crate) struct SealedPosts {
    known: HashSet<Box<[u8]>>,
    order: VecDeque<Box<[u8]>>,
}

impl SealedPosts {
    /// Returns the message; `None` for one that is forged, of another session or client, too old, or was taken before. `now` in seconds
    /// since 1970.
    pub(crate) fn open(
        &mut self,
        sealer: &Sealer,
        principal: &Principal,
        session: &SessionId,
        text: &[u8],
        now: u64,
    ) -> Option<Bytes> {
        let plain = sealer.unseal_long(text, principal, session)?;
        let (posted, message) = plain.strip_prefix(PREFIX)?.split_first_chunk()?;
        let posted = u64::from_be_bytes(*posted);
        let is_old = posted.saturating_add(MAX_AGE + MAX_CLOCK_SKEW) < now;
        let nonce: Box<[u8]> = text.get(..NONCE_CHARS)?.into();
        if is_old || !self.known.insert(nonce.clone()) {
            return None;
        }
        self.order.push_back(nonce);
        if self.order.len() > MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        Some(Bytes::copy_from_slice(message))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use protocol::mcp::era::Version;
    use protocol::mcp::failure::FailureKind;
    use runtime::keys::Key;
    use runtime::secret::{SessionKey, SessionKeys};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn sealer(key: &str) -> Sealer {
        Sealer::new(&SessionKeys::new(SessionKey::derive(key), None), Duration::from_secs(100))
    }

    fn session(id: u8) -> Session {
        Session {
            id: [id; SESSION_ID_LEN],
            version: Version::V2024_11_05,
            expires: NOW + 100,
            capabilities: None,
        }
    }

    #[test]
    fn a_message_reaches_the_stream_of_its_session_while_that_is_open_and_reads() {
        let streams = Arc::new(OpenStreams::default());
        let (mut one, two) = (streams.open([1; 16]), streams.open([2; 16]));
        let message = Bytes::from_static(b"{}");
        assert!(streams.post(&[3; 16], &message).is_none());
        for _ in 0..MAX_WAITING {
            streams.post(&[1; 16], &message).unwrap().unwrap();
        }
        let full = streams.post(&[1; 16], &message).unwrap().unwrap_err();
        assert_eq!(full.kind(), FailureKind::ClientLimit);
        assert_eq!(one.posted.try_recv().unwrap(), message);
        streams.post(&[1; 16], &message).unwrap().unwrap();
        drop(two);
        assert!(streams.post(&[2; 16], &message).is_none());
    }

    #[test]
    fn a_sealed_message_is_taken_once_by_its_own_stream_and_not_for_long() {
        let anyone = Principal::ANYONE;
        let text = seal(&sealer("k"), &anyone, &session(1), b"a message", NOW).unwrap();
        let open = |key: &str, principal: &Principal, id: u8, now| {
            SealedPosts::default().open(&sealer(key), principal, &[id; 16], text.as_bytes(), now)
        };
        for now in [NOW - 500, NOW, NOW + MAX_AGE + MAX_CLOCK_SKEW] {
            assert_eq!(open("k", &anyone, 1, now).unwrap(), "a message");
        }
        assert!(open("k", &anyone, 1, NOW + MAX_AGE + MAX_CLOCK_SKEW + 1).is_none(), "too old");
        assert!(open("l", &anyone, 1, NOW).is_none(), "another fleet");
        assert!(open("k", &anyone, 2, NOW).is_none(), "another session");
        assert!(open("k", &Principal::of(&Key::of("x")), 1, NOW).is_none(), "another client");
        let mut posts = SealedPosts::default();
        let mut take = |text: &str| posts.open(&sealer("k"), &anyone, &[1; 16], text.as_bytes(), NOW);
        assert!(take(&text).is_some() && take(&text).is_none(), "once");
        let again = seal(&sealer("k"), &anyone, &session(1), b"a message", NOW).unwrap();
        assert!(take(&again).is_some(), "the client posted the same text twice");
        let other = sealer("k").seal(b"not posted", &anyone, &[1; 16]).unwrap();
        assert!(take(&other).is_none(), "sealed for another purpose");
        assert_eq!(
            text.len() - NONCE_CHARS,
            (PREFIX.len() + 8 + 9 + 16usize) * 4 / 3 + 1,
            "the nonce comes first"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in any::<Vec<u8>>()) {
            prop_assert!(SealedPosts::default().open(&sealer("k"), &Principal::ANYONE, &[1; 16], &text, NOW).is_none());
        }
    }
}
