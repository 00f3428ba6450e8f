//! The subscriptions of legacy sessions (2025-11-25, Resources, "Subscriptions"): kept until the client unsubscribes or ends its session, so
//! that a stream at any proxy gets their updates. Must not know who reads them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::mcp::subscription::MAX_SUBSCRIBED;

use super::mailbox::{Mailbox, Notice, Reader};
use super::watched::{Watch, WatchedResources};

/// Most sessions that have subscribed to anything. Beyond it the one without a reader that subscribed first is forgotten.
const MAX_SESSIONS: usize = 10_000;

/// The subscriptions of one client, by the URIs that it knows.
#[derive(Default)]
pub(crate) struct WatchSet(HashMap<String, Watch>);

impl WatchSet {
    /// Subscribes to the updates of these resources, where `find` knows the backend and its own URI. A subscription at a backend that was replaced
    /// becomes one at its successor. Returns whether any is new.
    pub(crate) fn extend<'a>(
        &mut self,
        uris: impl IntoIterator<Item = &'a String>,
        mailbox: &Arc<Mailbox>,
        find: impl Fn(&str) -> Option<(Arc<WatchedResources>, String)>,
    ) -> bool {
        let mut is_new = false;
        for uri in uris {
            let Some((watched, own)) = find(uri) else { continue };
            if self.0.get(uri).is_none_or(|watch| !watch.is_of(&watched, &own)) {
                self.0.insert(uri.clone(), watched.watch(&own, uri, mailbox));
                is_new = true;
            }
        }
        is_new
    }

    /// Returns the subscriptions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Watch)> {
        self.0.iter()
    }
}

/// Whom a notification is for that no call in flight is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Addressee {
    /// The stream of this session, if it is this client's.
    Session {
        /// The session.
        session: Arc<str>,
        /// Its client.
        client: Option<Arc<str>>,
    },
    /// The stream of this client that was opened last.
    Client(Arc<str>),
}

/// A session that subscribed, or whose stream is open.
struct SessionEntry {
    /// The client that opened the stream.
    client: Option<Arc<str>>,
    /// When the stream was opened, as a number that grows; 0: never.
    opened: u64,
    mailbox: Arc<Mailbox>,
    watches: WatchSet,
    number: u64,
}

#[derive(Default)]
struct Sessions {
    by_key: HashMap<String, SessionEntry>,
    last: u64,
}

/// The subscriptions of all sessions.
#[derive(Default)]
pub(crate) struct SessionSubscriptions(Mutex<Sessions>);

impl Sessions {
    fn entry(&mut self, session: &str) -> &mut SessionEntry {
        if !self.by_key.contains_key(session) && self.by_key.len() >= MAX_SESSIONS {
            let unread = self.by_key.iter().filter(|(_, entry)| entry.mailbox.is_unread());
            let oldest = unread.min_by_key(|(_, entry)| entry.number).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.by_key.remove(&key));
        }
        self.last += 1;
        let number = self.last;
        self.by_key.entry(session.to_owned()).or_insert_with(|| SessionEntry {
            mailbox: Mailbox::new(),
            watches: WatchSet::default(),
            number,
            client: None,
            opened: 0,
        })
    }
}

impl SessionSubscriptions {
    /// Returns the mailbox of a session, which is made if there is none.
    pub(crate) fn mailbox(&self, session: &str) -> Arc<Mailbox> {
        Arc::clone(&self.0.lock().entry(session).mailbox)
    }

    /// Opens the stream of a session, which is this client's.
    pub(crate) fn open(&self, session: &str, client: Option<&str>) -> Reader {
        let mut sessions = self.0.lock();
        let mailbox = Arc::clone(&sessions.entry(session).mailbox);
        let opened = sessions.last;
        if let Some(entry) = sessions.by_key.get_mut(session) {
            (entry.client, entry.opened) = (client.map(Into::into), opened);
        }
        mailbox.reader()
    }

    /// Hands a notification to the stream that it is for. Returns false where there is none, or too much waits for it.
    pub(crate) fn deliver(&self, to: &Addressee, notice: Notice) -> bool {
        let sessions = self.0.lock();
        let entry = match to {
            Addressee::Session { session, client } => {
                sessions.by_key.get(&**session).filter(|entry| entry.client == *client)
            }
            Addressee::Client(client) => {
                let of_client =
                    sessions.by_key.values().filter(|entry| entry.client.as_ref() == Some(client));
                of_client.filter(|entry| !entry.mailbox.is_unread()).max_by_key(|entry| entry.opened)
            }
        };
        entry.is_some_and(|entry| entry.mailbox.put_notice(notice))
    }

    /// Keeps a subscription of a session. Returns false, and keeps nothing, where the session has [`MAX_SUBSCRIBED`] already.
    pub(crate) fn add(&self, session: &str, uri: &str, watch: Watch) -> bool {
        let mut sessions = self.0.lock();
        let watches = &mut sessions.entry(session).watches.0;
        let fits = watches.len() < MAX_SUBSCRIBED || watches.contains_key(uri);
        if fits {
            watches.insert(uri.to_owned(), watch);
        }
        fits
    }

    /// Removes the subscription of a session; without subscriptions and readers nothing of the session is kept.
    pub(crate) fn remove(&self, session: &str, uri: &str) {
        let mut sessions = self.0.lock();
        if let Some(entry) = sessions.by_key.get_mut(session) {
            entry.watches.0.remove(uri);
        }
        drop(sessions);
        self.forget_unused(session);
    }

    /// Forgets a session that has neither subscriptions nor readers.
    pub(crate) fn forget_unused(&self, session: &str) {
        let mut sessions = self.0.lock();
        let is_unused = |entry: &SessionEntry| entry.watches.0.is_empty() && entry.mailbox.is_unread();
        if sessions.by_key.get(session).is_some_and(is_unused) {
            sessions.by_key.remove(session);
        }
    }

    /// Forgets a session that its client ended.
    pub(crate) fn end(&self, session: &str) {
        self.0.lock().by_key.remove(session);
    }

    /// Moves the subscriptions of a session to the backends that replaced theirs.
    pub(crate) fn refresh(
        &self,
        session: &str,
        find: impl Fn(&str) -> Option<(Arc<WatchedResources>, String)>,
    ) {
        let mut sessions = self.0.lock();
        if let Some(SessionEntry { mailbox, watches, .. }) = sessions.by_key.get_mut(session) {
            let uris: Vec<String> = watches.0.keys().cloned().collect();
            watches.extend(&uris, mailbox, find);
        }
    }

    /// Returns the number of subscriptions of all sessions.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().by_key.values().map(|entry| entry.watches.0.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_session_is_kept_as_long_as_it_has_subscriptions_or_readers_and_no_longer_than_its_client_says() {
        let (sessions, backend) = (SessionSubscriptions::default(), Arc::new(WatchedResources::default()));
        let subscribe = |session: &str, uri: &str| {
            let mailbox = sessions.mailbox(session);
            sessions.add(session, uri, backend.watch(uri, uri, &mailbox))
        };
        assert!(subscribe("s", "a:1") && subscribe("s", "a:2") && subscribe("t", "a:1"));
        assert_eq!((sessions.count(), backend.uris()), (3, vec!["a:1".to_owned(), "a:2".to_owned()]));
        sessions.remove("s", "a:1");
        assert_eq!(backend.uris(), ["a:1", "a:2"], "the other session wants it");
        sessions.end("t");
        assert_eq!(backend.uris(), ["a:2"]);
        let reader = sessions.mailbox("s").reader();
        sessions.remove("s", "a:2");
        assert_eq!(sessions.0.lock().by_key.len(), 1);
        drop(reader);
        sessions.forget_unused("s");
        assert_eq!((sessions.0.lock().by_key.len(), backend.uris().len()), (0, 0));
    }

    #[test]
    fn a_notification_reaches_one_stream_of_its_client_and_no_other_client_s() {
        let sessions = SessionSubscriptions::default();
        let notice = Notice { message: "{}".into(), task: None };
        let to_session = |session: &str, client: Option<&str>| Addressee::Session {
            session: session.into(),
            client: client.map(Into::into),
        };
        let deliver = |to: Addressee| sessions.deliver(&to, notice.clone());
        let [mut a, mut b, mut c] = [("s", Some("me")), ("t", Some("me")), ("u", Some("you"))]
            .map(|(session, client)| sessions.open(session, client));
        let mut nobody = sessions.open("v", None);
        let mut all =
            || [&mut a, &mut b, &mut c, &mut nobody].map(|reader| reader.next().now_or_never().is_some());
        for (to, delivered, read) in [
            (to_session("s", Some("me")), true, [true, false, false, false]),
            (to_session("s", Some("you")), false, [false; 4]),
            (to_session("s", None), false, [false; 4]),
            (to_session("w", Some("me")), false, [false; 4]),
            (to_session("v", None), true, [false, false, false, true]),
            (Addressee::Client("me".into()), true, [false, true, false, false]),
            (Addressee::Client("you".into()), true, [false, false, true, false]),
            (Addressee::Client("them".into()), false, [false; 4]),
        ] {
            assert_eq!((deliver(to.clone()), all()), (delivered, read), "{to:?}");
        }
        drop(b);
        assert!(deliver(Addressee::Client("me".into())));
        assert!(a.next().now_or_never().is_some(), "the stream that is left");
        drop(a);
        assert!(!deliver(Addressee::Client("me".into())) && !deliver(to_session("s", Some("me"))));
    }

    #[test]
    fn sessions_and_their_subscriptions_are_bounded_and_those_that_are_read_stay() {
        let (sessions, backend) = (SessionSubscriptions::default(), Arc::new(WatchedResources::default()));
        let read = sessions.mailbox("read").reader();
        for number in 0..MAX_SESSIONS + 10 {
            sessions.mailbox(&number.to_string());
        }
        let keys = &sessions.0.lock().by_key;
        assert_eq!(keys.len(), MAX_SESSIONS);
        assert!(keys.contains_key("read") && !keys.contains_key("0") && !keys.contains_key("10"));
        drop(read);
        let one = SessionSubscriptions::default();
        let mailbox = one.mailbox("s");
        let add = |number: usize| {
            let uri = format!("a:{number}");
            one.add("s", &uri, backend.watch(&uri, &uri, &mailbox))
        };
        assert!((0..MAX_SUBSCRIBED).all(add));
        assert!(!add(MAX_SUBSCRIBED) && add(7));
        assert_eq!(backend.uris().len(), MAX_SUBSCRIBED);
    }

    #[test]
    fn subscriptions_follow_a_backend_that_is_replaced() {
        let (old, new) = (Arc::new(WatchedResources::default()), Arc::new(WatchedResources::default()));
        let (mut set, mailbox, uris) = (WatchSet::default(), Mailbox::new(), vec!["a:1".to_owned()]);
        let to = |backend: &Arc<WatchedResources>| {
            let backend = Arc::clone(backend);
            move |uri: &str| Some((Arc::clone(&backend), uri.to_owned()))
        };
        assert!(!set.extend(&uris, &mailbox, |_| None));
        assert!(set.extend(&uris, &mailbox, to(&old)) && !set.extend(&uris, &mailbox, to(&old)));
        assert!(set.extend(&uris, &mailbox, to(&new)));
        assert_eq!((old.uris().len(), new.uris()), (0, uris));
    }
}
