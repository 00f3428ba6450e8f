//! Key of a child of a pool: the session or the client whose calls it runs. Must not know children.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::link::header::CallHeader;

use crate::backends::stdio::sharing::ChildOwner;
use crate::subscriptions::Addressee;

/// The session or client that a child is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ChildKey {
    /// A legacy session, and the client that it belongs to.
    Session {
        /// The session.
        session: Arc<str>,
        /// Its client.
        client: Option<Arc<str>>,
    },
    /// A client.
    Client(Arc<str>),
    /// One call of nobody in particular, by a number: it shares no process with another.
    Call(u64),
}

impl ChildKey {
    /// Returns the key of a call.
    pub(super) fn of(header: &CallHeader, owner: ChildOwner) -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let (session, client) = (header.session.as_deref(), header.client.as_deref());
        let of_session =
            |session: &str| Self::Session { session: session.into(), client: client.map(Into::into) };
        let key = match owner {
            ChildOwner::Session => {
                session.map(of_session).or(client.map(|client| Self::Client(client.into())))
            }
            ChildOwner::Client => {
                client.map(|client| Self::Client(client.into())).or(session.map(of_session))
            }
        };
        key.unwrap_or_else(|| Self::Call(CALLS.fetch_add(1, Ordering::Relaxed)))
    }

    /// Returns whose stream what the child says by itself is for; `None`: nobody's.
    pub(super) fn addressee(&self) -> Option<Addressee> {
        match self {
            Self::Session { session, client } => {
                Some(Addressee::Session { session: Arc::clone(session), client: client.clone() })
            }
            Self::Client(client) => Some(Addressee::Client(Arc::clone(client))),
            Self::Call(_) => None,
        }
    }

    /// Returns whether the child ends with this session.
    pub(super) fn is_of_session(&self, ended: &str) -> bool {
        matches!(self, Self::Session { session, .. } if **session == *ended)
    }

    /// Returns whether the child is a session's.
    pub(super) fn is_session(&self) -> bool {
        matches!(self, Self::Session { .. })
    }

    /// Returns whether the child ends with its first call.
    pub(super) fn is_of_call(&self) -> bool {
        matches!(self, Self::Call(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::testing::header;
    use protocol::mcp::era::Era;

    #[test]
    fn calls_share_a_child_only_where_their_session_or_client_is_the_same() {
        let key = |owner, session: &str, client: &str| {
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let header = CallHeader { session: text(session), client: text(client), ..header(Era::Legacy) };
            ChildKey::of(&header, owner)
        };
        let (by_session, by_client) = (ChildOwner::Session, ChildOwner::Client);
        for (owner, one, two, same) in [
            (by_session, ("s", "c"), ("s", "c"), true),
            (by_session, ("s", "c"), ("t", "c"), false),
            (by_session, ("s", "c"), ("s", "d"), false),
            (by_session, ("s", ""), ("s", ""), true),
            (by_session, ("", "c"), ("", "c"), true),
            (by_session, ("", "c"), ("", "d"), false),
            (by_session, ("c", ""), ("", "c"), false),
            (by_session, ("", ""), ("", ""), false),
            (by_client, ("s", "c"), ("t", "c"), true),
            (by_client, ("s", "c"), ("", "c"), true),
            (by_client, ("s", "c"), ("s", "d"), false),
            (by_client, ("s", ""), ("t", ""), false),
            (by_client, ("", ""), ("", ""), false),
        ] {
            assert_eq!(
                key(owner, one.0, one.1) == key(owner, two.0, two.1),
                same,
                "{owner:?} {one:?} {two:?}"
            );
        }
        assert!(key(by_session, "s", "c").is_of_session("s"));
        assert!(!key(by_client, "s", "c").is_of_session("s"));
        assert!(key(by_client, "", "").is_of_call());
    }
}
