//! Session facts: what a `session` frame says about a client's session (docs/PROTOCOL.md, "Call header and session facts"). Must not
//! know sessions, nor how facts are authenticated.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::link::base64url;
use crate::link::fleet::MAX_FLEET_KEYS;
use crate::link::grant_fact::MAX_TOLD_GRANT_FACTS;
use crate::link::revocation::RevocationFact;
use crate::link::rotation::RotationFact;
use crate::mcp::log_level::LogLevel;
use crate::mcp::object::Object;

/// Session fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionFact {
    /// The client cancelled a request.
    Cancelled {
        /// The slave that has a call with one of these digests as its [`cancel_id`](crate::link::header::CallHeader::cancel_id) ends it. One
        /// digest for each session key, at most two.
        digests: Vec<String>,
        /// Why, in the client's words.
        reason: Option<String>,
    },
    /// The client of a session asked for log messages of this level and more severe ones.
    LogLevel {
        /// Key of the session, as in [`CallHeader::session`](crate::link::header::CallHeader::session).
        session: String,
        /// Least severe level.
        level: LogLevel,
    },
    /// The client of a session does not want updates of a resource any more: any slave of a pool may have its subscription.
    Unsubscribed {
        /// Key of the session, as in [`CallHeader::session`](crate::link::header::CallHeader::session).
        session: String,
        /// URI of the resource.
        uri: String,
    },
    /// The client of a session sent a notification, for processes that run for this session alone.
    Notified {
        /// Key of the session, as in [`CallHeader::session`](crate::link::header::CallHeader::session).
        session: String,
        /// The client's message.
        message: String,
    },
    /// The client ended its session.
    Ended(SessionEnd),
    /// Grants of the proxies' OAuth broker were revoked. At most [`MAX_TOLD_GRANT_FACTS`].
    Revoked(Vec<RevocationFact>),
    /// The proxies' OAuth broker issued refresh tokens in place of older ones. At most [`MAX_TOLD_GRANT_FACTS`].
    Rotated(Vec<RotationFact>),
}

/// End of a client's session, as the proxy says it where the client ended it. Slaves pass it on to the other proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// Key of the session, as in [`CallHeader::session`](crate::link::header::CallHeader::session).
    pub session: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// Authentication tag over [`SessionEnd::text`].
    pub tag: [u8; 16],
}

impl SessionEnd {
    /// Returns what the tag authenticates.
    pub fn text(session: &str, at: u64) -> String {
        format!("ended\n{session}\n{at}")
    }
}

/// All forms of the payload.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cancel: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ended: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log_level: Option<LogLevel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unsubscribed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notified: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    revoked: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rotated: Vec<String>,
}

/// Writes as many facts as are told in one frame.
fn to_texts<F: ToString>(facts: &[F]) -> Vec<String> {
    facts.iter().take(MAX_TOLD_GRANT_FACTS).map(ToString::to_string).collect()
}

/// Reads facts. Texts that are none are left out: a later version may have others.
fn from_texts<F>(texts: &[String], parse: fn(&str) -> Option<F>) -> Vec<F> {
    texts.iter().take(MAX_TOLD_GRANT_FACTS).filter_map(|text| parse(text)).collect()
}

impl SessionFact {
    /// Writes the payload of a `session` frame.
    pub fn encode(&self) -> Bytes {
        let wire = match self {
            Self::Cancelled { digests, reason } => {
                Wire { cancel: digests.clone(), reason: reason.clone(), ..Wire::default() }
            }
            Self::LogLevel { session, level } => {
                Wire { session: Some(session.clone()), log_level: Some(*level), ..Wire::default() }
            }
            Self::Unsubscribed { session, uri } => {
                Wire { session: Some(session.clone()), unsubscribed: Some(uri.clone()), ..Wire::default() }
            }
            Self::Notified { session, message } => {
                Wire { session: Some(session.clone()), notified: Some(message.clone()), ..Wire::default() }
            }
            Self::Ended(end) => Wire {
                session: Some(end.session.clone()),
                ended: true,
                at: Some(end.at),
                tag: Some(base64url::encode(&end.tag)),
                ..Wire::default()
            },
            Self::Revoked(facts) => Wire { revoked: to_texts(facts), ..Wire::default() },
            Self::Rotated(facts) => Wire { rotated: to_texts(facts), ..Wire::default() },
        };
        serde_json::to_vec(&wire).unwrap_or_default().into()
    }

    /// Reads the payload of a `session` frame; `None` if it is of no form.
    pub fn decode(json: &[u8]) -> Option<Self> {
        let Object(wire): Object<Wire> = serde_json::from_slice(json).ok()?;
        match wire {
            Wire { ended: true, session: Some(session), at: Some(at), tag: Some(tag), .. } => {
                Some(Self::Ended(SessionEnd { session, at, tag: base64url::decode(&tag)? }))
            }
            Wire { ended: false, session: Some(session), log_level: Some(level), .. } => {
                Some(Self::LogLevel { session, level })
            }
            Wire { ended: false, session: Some(session), unsubscribed: Some(uri), .. } => {
                Some(Self::Unsubscribed { session, uri })
            }
            Wire { ended: false, session: Some(session), notified: Some(message), .. } => {
                Some(Self::Notified { session, message })
            }
            Wire { ended: false, mut cancel, reason, .. } if !cancel.is_empty() => {
                cancel.truncate(MAX_FLEET_KEYS);
                Some(Self::Cancelled { digests: cancel, reason })
            }
            Wire { ended: false, revoked, .. } if !revoked.is_empty() => {
                Some(Self::Revoked(from_texts(&revoked, RevocationFact::parse)))
            }
            Wire { ended: false, rotated, .. } if !rotated.is_empty() => {
                Some(Self::Rotated(from_texts(&rotated, RotationFact::parse)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::grant_fact::GrantId;
    use crate::link::limits::MAX_CHUNK;

    #[test]
    fn revocations_are_told_at_most_as_many_as_fit_a_chunk_and_what_is_none_is_left_out() {
        let fact = |until| RevocationFact { until, grant: GrantId([7; 16]), tag: [9; 16] };
        let many = SessionFact::Revoked((0..2000).map(|n| fact(u64::MAX - n)).collect()).encode();
        assert!(many.len() <= MAX_CHUNK, "{}", many.len());
        let Some(SessionFact::Revoked(read)) = SessionFact::decode(&many) else { panic!("no revocations") };
        assert_eq!((read.len(), read[1]), (MAX_TOLD_GRANT_FACTS, fact(u64::MAX - 1)));
        let texts: Vec<String> = (0..2000).map(|n| fact(n).to_string()).collect();
        let long = serde_json::json!({ "revoked": texts }).to_string();
        let Some(SessionFact::Revoked(read)) = SessionFact::decode(long.as_bytes()) else { panic!("none") };
        assert_eq!(read.len(), MAX_TOLD_GRANT_FACTS);
        let mixed = format!(r#"{{"revoked":["x","{}",""]}}"#, fact(5));
        assert_eq!(SessionFact::decode(mixed.as_bytes()), Some(SessionFact::Revoked(vec![fact(5)])));
    }

    #[test]
    fn rotations_are_told_at_most_as_many_as_fit_a_chunk() {
        let fact = |number| RotationFact {
            until: u64::MAX,
            grant: GrantId([7; 16]),
            generation: u64::MAX - number,
            token: [8; 16],
            tag: [9; 16],
        };
        let many = SessionFact::Rotated((0..2000).map(fact).collect()).encode();
        assert!(many.len() <= MAX_CHUNK, "{}", many.len());
        let Some(SessionFact::Rotated(read)) = SessionFact::decode(&many) else { panic!("no rotations") };
        assert_eq!((read.len(), read[1]), (MAX_TOLD_GRANT_FACTS, fact(1)));
        let texts: Vec<String> = (0..2000).map(|number| fact(number).to_string()).collect();
        let long = serde_json::json!({ "rotated": texts }).to_string();
        let Some(SessionFact::Rotated(read)) = SessionFact::decode(long.as_bytes()) else { panic!("none") };
        assert_eq!(read.len(), MAX_TOLD_GRANT_FACTS);
    }

    #[test]
    fn all_forms_round_trip_and_nothing_else_is_read() {
        let cancelled = SessionFact::Cancelled { digests: vec!["00".into(), "ff".into()], reason: None };
        assert_eq!(cancelled.encode(), r#"{"cancel":["00","ff"]}"#);
        let with_reason =
            SessionFact::Cancelled { digests: vec!["00".into()], reason: Some("too \"slow\"".into()) };
        assert_eq!(with_reason.encode(), r#"{"cancel":["00"],"reason":"too \"slow\""}"#);
        let ended = SessionFact::Ended(SessionEnd { session: "s".into(), at: 5, tag: [7; 16] });
        assert_eq!(ended.encode(), r#"{"session":"s","ended":true,"at":5,"tag":"BwcHBwcHBwcHBwcHBwcHBw"}"#);
        let level = SessionFact::LogLevel { session: "s".into(), level: LogLevel::Warning };
        assert_eq!(level.encode(), r#"{"session":"s","logLevel":"warning"}"#);
        let unsubscribed = SessionFact::Unsubscribed { session: "s".into(), uri: "a:1".into() };
        assert_eq!(unsubscribed.encode(), r#"{"session":"s","unsubscribed":"a:1"}"#);
        let notified = SessionFact::Notified { session: "s".into(), message: "{}".into() };
        assert_eq!(notified.encode(), r#"{"session":"s","notified":"{}"}"#);
        let fact = RevocationFact { until: 5, grant: GrantId([7; 16]), tag: [7; 16] };
        let revoked = SessionFact::Revoked(vec![fact]);
        assert_eq!(revoked.encode(), r#"{"revoked":["BwcHBwcHBwcHBwcHBwcHBw.5.BwcHBwcHBwcHBwcHBwcHBw"]}"#);
        let fact =
            RotationFact { until: 5, grant: GrantId([7; 16]), generation: 3, token: [7; 16], tag: [7; 16] };
        let rotated = SessionFact::Rotated(vec![fact]);
        let id = "BwcHBwcHBwcHBwcHBwcHBw";
        assert_eq!(rotated.encode(), format!(r#"{{"rotated":["{id}.5.3.{id}.{id}"]}}"#));
        for fact in [cancelled, with_reason, ended, level, unsubscribed, notified, revoked, rotated] {
            assert_eq!(SessionFact::decode(&fact.encode()), Some(fact));
        }
        for bad in [
            "{}",
            "[]",
            r#"{"cancel":[]}"#,
            r#"{"session":"s","cancel":"1"}"#,
            r#"{"session":"s","ended":true}"#,
            r#"{"session":"s","logLevel":"loud"}"#,
            r#"{"logLevel":"info"}"#,
            r#"{"unsubscribed":"a:1"}"#,
            r#"{"notified":"{}"}"#,
            r#"{"revoked":[]}"#,
            r#"{"revoked":"x"}"#,
            r#"{"rotated":[]}"#,
            r#"{"rotated":{}}"#,
            r#"{"session":"s","ended":true,"at":5,"tag":"x"}"#,
        ] {
            assert_eq!(SessionFact::decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
