//! The first messages of a link: who the slave is, whether it may, and which dialect both speak from then on.
//!
//! Text frames, compatible with the existing Node server (EXISTING.md, "WebSocket, plain dialect"). A `protocol`
//! member on both sides means the native dialect; without it the link is plain. Knows no codes and no sockets.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::link::ids::InstanceId;
use crate::link::limits::{MAX_AUTH, MIN_WINDOW};
use crate::mcp::object::Object;

/// The name in `protocol.name`; another name means the plain dialect.
pub const PROTOCOL_NAME: &str = "mcp-relay";

/// What a proxy answers where a code is none of its own.
pub const INVALID_CODE: &str = "Invalid slave code";

/// Versions of the native dialect that this code speaks, newest first.
pub const VERSIONS: [u16; 1] = [1];

/// Close codes of the document, and ours.
pub mod close {
    /// The peer sent no auth message in time (10 s).
    pub const NO_AUTH: u16 = 4000;
    /// A new connection of the same slave took the place of this one.
    pub const REPLACED: u16 = 4001;
    /// Wrong slave code.
    pub const AUTH_FAILED: u16 = 4002;
    /// The first message was not an auth message.
    pub const NOT_AUTH: u16 = 4003;
    /// The slave is linked to this proxy already and said so (`linked`): nothing was changed.
    pub const ALREADY_LINKED: u16 = 4004;
    /// A frame or message that the dialect does not allow.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// Going down.
    pub const GOING_AWAY: u16 = 1001;
}

/// A code as it came in; it is compared and dropped, never shown.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PresentedCode(pub String);

impl fmt::Debug for PresentedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What a slave that speaks the native dialect says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlaveHello {
    /// [`PROTOCOL_NAME`].
    pub name: String,
    /// Versions it speaks.
    pub versions: Vec<u16>,
    /// Its process, 16 hex digits.
    pub instance: String,
    /// `SLAVE_NAME`: shown to people, prefix where tool names collide.
    pub slave_name: String,
    /// `SLAVE_LABELS`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `SLAVE_CAPACITY`: calls it runs at once; 0 means no limit of its own.
    #[serde(default)]
    pub capacity: u32,
    /// Bytes of one call that it accepts without having taken them.
    pub window: u32,
    /// Share of the calls that it should get beside others of its pool, in percent of an ordinary slave's; 0: 100.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight: u32,
    /// The place it runs in, where that is known to hold one process at a time: another instance in the same seat
    /// means that the process before is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<String>,
    /// Instances of the proxies that it is linked to already, 16 hex digits each: such a proxy answers with
    /// [`close::ALREADY_LINKED`] and changes nothing (a load balancer led the slave here again). `Some`, also of
    /// nothing: the slave takes `peers` frames and passes ended sessions on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<Vec<String>>,
    /// Program and version, for logs.
    #[serde(default)]
    pub agent: String,
    /// Only asks whether the code is accepted (`mcp-relay doctor`): the proxy answers and closes, and registers nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a proxy that speaks the native dialect answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyHello {
    /// [`PROTOCOL_NAME`].
    pub name: String,
    /// The version chosen from the slave's.
    pub version: u16,
    /// Its process, 16 hex digits.
    pub instance: String,
    /// Milliseconds that calls outlive a broken link.
    pub grace_ms: u64,
    /// Bytes of one call that it accepts without having taken them.
    pub window: u32,
    /// Instances of the proxies that it knows of, itself included, 16 hex digits each: a slave behind a load balancer
    /// wants a link to all of them. Not empty: the proxy takes `peers` frames and ended sessions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
    /// How many proxies there are at least, this one included, where it knows that from elsewhere; 0: it does not.
    #[serde(default, skip_serializing_if = "is_default")]
    pub peers_at_least: u32,
    /// Program and version, for logs.
    #[serde(default)]
    pub agent: String,
}

/// The slave's first message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Always `auth`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `SLAVE_CODE`.
    pub slave_code: PresentedCode,
    /// Offered by slaves that speak the native dialect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<SlaveHello>,
}

/// The proxy's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AuthReply {
    /// Go on.
    AuthSuccess {
        /// "Authentication successful".
        message: String,
        /// Present if the proxy speaks the native dialect with this slave.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol: Option<ProxyHello>,
    },
    /// Closed right after, with [`close::AUTH_FAILED`].
    AuthFailed {
        /// [`INVALID_CODE`], or another reason that the code does not help.
        message: String,
    },
}

/// Why a first message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not an auth message: close [`close::NOT_AUTH`].
    #[error("the first message is not an auth message")]
    NotAuth,
    /// Too long to be one: close [`close::NOT_AUTH`].
    #[error("the first message has {0} bytes, at most {MAX_AUTH} allowed")]
    TooLong(usize),
    /// An auth message whose `protocol` member cannot be used: close [`close::NOT_AUTH`].
    #[error("the auth message's protocol member is unusable: {0}")]
    BadHello(String),
    /// The answer is none that a proxy gives.
    #[error("the proxy's answer is neither auth_success nor auth_failed")]
    BadReply,
}

impl Auth {
    /// The message a slave sends first.
    pub fn new(code: String, hello: SlaveHello) -> Self {
        Self { kind: "auth".into(), slave_code: PresentedCode(code), protocol: Some(hello) }
    }

    /// Reads a first message. A `protocol` of another name is ignored, as the Node server does.
    pub fn parse(text: &str) -> Result<Self, HandshakeError> {
        #[derive(Deserialize)]
        struct Loose<'a> {
            #[serde(rename = "type")]
            kind: std::borrow::Cow<'a, str>,
            #[serde(rename = "slaveCode")]
            slave_code: PresentedCode,
            #[serde(default)]
            protocol: Option<serde_json::Value>,
        }
        if text.len() > MAX_AUTH {
            return Err(HandshakeError::TooLong(text.len()));
        }
        let Object(loose): Object<Loose<'_>> =
            serde_json::from_str(text).map_err(|_| HandshakeError::NotAuth)?;
        if loose.kind != "auth" {
            return Err(HandshakeError::NotAuth);
        }
        let protocol = match loose.protocol {
            Some(value) if value.get("name").and_then(|n| n.as_str()) == Some(PROTOCOL_NAME) => {
                let hello =
                    serde_json::from_value(value).map_err(|e| HandshakeError::BadHello(e.to_string()))?;
                Some(check_hello(hello)?)
            }
            _ => None,
        };
        Ok(Self { kind: "auth".into(), slave_code: loose.slave_code, protocol })
    }
}

fn check_hello(hello: SlaveHello) -> Result<SlaveHello, HandshakeError> {
    let bad = |what: &str| Err(HandshakeError::BadHello(what.to_owned()));
    if InstanceId::parse(&hello.instance).is_none() {
        return bad("instance must be 16 hex digits");
    }
    if let Err(reason) = check_slave_name(&hello.slave_name) {
        return bad(reason);
    }
    if hello.window < MIN_WINDOW {
        return bad("window must be at least 131072");
    }
    if hello.seat.as_ref().is_some_and(|seat| seat.is_empty() || seat.len() > 255) {
        return bad("seat must have 1 to 255 bytes");
    }
    if hello.linked.iter().flatten().any(|id| InstanceId::parse(id).is_none()) {
        return bad("linked must be instances of 16 hex digits");
    }
    if hello.labels.iter().any(|(k, v)| k.is_empty() || k.len() > 63 || v.len() > 255) {
        return bad("labels need keys of 1 to 63 and values of at most 255 characters");
    }
    Ok(hello)
}

/// `SLAVE_NAME` is 1 to 63 letters, digits, `-`, `_` or `.`: it becomes a prefix of tool names and a metric label.
pub fn check_slave_name(name: &str) -> Result<(), &'static str> {
    let fits = (1..=63).contains(&name.len());
    if fits && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        Ok(())
    } else {
        Err("slave name must be 1 to 63 letters, digits, '-', '_' or '.'")
    }
}

/// The newest version that both speak; `None` where there is none (the link is then plain).
pub fn choose_version(offered: &[u16]) -> Option<u16> {
    VERSIONS.into_iter().find(|v| offered.contains(v))
}

impl AuthReply {
    /// "Authentication successful", with the native dialect if `hello` is given.
    pub fn success(protocol: Option<ProxyHello>) -> Self {
        Self::AuthSuccess { message: "Authentication successful".into(), protocol }
    }

    /// [`INVALID_CODE`].
    pub fn failed() -> Self {
        Self::failed_because(INVALID_CODE)
    }

    /// Says why the code does not help.
    pub fn failed_because(why: &str) -> Self {
        Self::AuthFailed { message: why.into() }
    }

    /// Reads a proxy's answer; members it does not know are ignored, an unusable `protocol` means plain.
    pub fn parse(text: &str) -> Result<Self, HandshakeError> {
        let mut value: serde_json::Value =
            serde_json::from_str(text).map_err(|_| HandshakeError::BadReply)?;
        if let Some(object) = value.as_object_mut() {
            let usable = object.get("protocol").is_some_and(|p| {
                serde_json::from_value::<ProxyHello>(p.clone()).is_ok_and(|hello| {
                    hello.name == PROTOCOL_NAME
                        && VERSIONS.contains(&hello.version)
                        && InstanceId::parse(&hello.instance).is_some()
                        && hello.window >= MIN_WINDOW
                })
            });
            if !usable {
                object.remove("protocol");
            }
            object.entry("message").or_insert_with(|| "".into());
        }
        serde_json::from_value(value).map_err(|_| HandshakeError::BadReply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> SlaveHello {
        SlaveHello {
            name: PROTOCOL_NAME.into(),
            versions: vec![1],
            instance: InstanceId(7).to_string(),
            slave_name: "s1".into(),
            labels: BTreeMap::from([("platform".into(), "gitlab".into())]),
            capacity: 4,
            window: 262_144,
            agent: "test".into(),
            ..SlaveHello::default()
        }
    }

    #[test]
    fn the_node_slave_s_message_is_plain() {
        let auth = Auth::parse(r#"{"type":"auth","slaveCode":"code1"}"#).unwrap();
        assert_eq!(auth.slave_code.0, "code1");
        assert!(auth.protocol.is_none());
        assert!(!format!("{auth:?}").contains("code1"));
    }

    #[test]
    fn a_native_hello_round_trips_and_keeps_the_node_form() {
        let text = serde_json::to_string(&Auth::new("c".into(), hello())).unwrap();
        assert!(
            text.starts_with(r#"{"type":"auth","slaveCode":"c","protocol":{"name":"mcp-relay""#),
            "{text}"
        );
        assert_eq!(Auth::parse(&text).unwrap().protocol, Some(hello()));
    }

    #[test]
    fn unusable_first_messages_are_refused() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"type":"hello","slaveCode":"x"}"#,
            r#"{"type":"auth"}"#,
            r#"["auth","x"]"#,
            r#"{"type":"auth","slaveCode":1}"#,
        ] {
            assert_eq!(Auth::parse(text).unwrap_err(), HandshakeError::NotAuth, "{text}");
        }
        assert!(matches!(Auth::parse(&"x".repeat(MAX_AUTH + 1)), Err(HandshakeError::TooLong(_))));
        for spoil in [
            |h: &mut SlaveHello| h.instance = "7".into(),
            |h: &mut SlaveHello| h.slave_name = "a b".into(),
            |h: &mut SlaveHello| h.window = 1,
        ] {
            let mut bad = hello();
            spoil(&mut bad);
            let text = serde_json::to_string(&Auth::new("c".into(), bad)).unwrap();
            assert!(matches!(Auth::parse(&text), Err(HandshakeError::BadHello(_))), "{text}");
        }
    }

    #[test]
    fn version_gating_falls_back_to_plain() {
        assert_eq!(choose_version(&[1, 2, 9]), Some(1));
        assert_eq!(choose_version(&[2]), None);
        let plain =
            AuthReply::parse(r#"{"type":"auth_success","message":"Authentication successful","x":1}"#)
                .unwrap();
        assert_eq!(plain, AuthReply::success(None));
        let odd = r#"{"type":"auth_success","message":"Authentication successful","protocol":{"name":"mcp-relay","version":9}}"#;
        assert_eq!(AuthReply::parse(odd).unwrap(), AuthReply::success(None));
        assert!(AuthReply::parse(r#"{"type":"x"}"#).is_err());
    }
}
