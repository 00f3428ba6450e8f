//! The `auth` message of a slave and the proxy's reply. Must not know which codes are valid.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::hello::{PROTOCOL_NAME, ProxyHello, SlaveHello, VERSIONS, check_hello};
use crate::link::ids::InstanceId;
use crate::link::limits::{MAX_AUTH, MIN_WINDOW};
use crate::mcp::object::Object;

/// Message to a slave whose code the proxy does not know.
pub const INVALID_CODE: &str = "Invalid slave code";

/// Slave code as it came in. `Debug` does not show it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PresentedCode(pub String);

impl fmt::Debug for PresentedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// First message of a slave.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Always `auth`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Slave code (`SLAVE_CODE`).
    pub slave_code: PresentedCode,
    /// Hello; only slaves that speak the native dialect have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<SlaveHello>,
}

/// Reply of the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AuthReply {
    /// The code is accepted.
    AuthSuccess {
        /// Text for people: "Authentication successful".
        message: String,
        /// Hello; present if the proxy speaks the native dialect with this slave.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol: Option<ProxyHello>,
    },
    /// The code is not accepted; the link is closed with [`AUTH_FAILED`](super::close::AUTH_FAILED).
    AuthFailed {
        /// [`INVALID_CODE`], or why a known code is not accepted.
        message: String,
    },
}

/// Why a first message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not an `auth` message: the link is closed with [`NOT_AUTH`](super::close::NOT_AUTH).
    #[error("the first message is not an auth message")]
    NotAuth,
    /// Longer than [`MAX_AUTH`]: the link is closed with [`NOT_AUTH`](super::close::NOT_AUTH).
    #[error("the first message has {0} bytes, at most {MAX_AUTH} allowed")]
    TooLong(usize),
    /// An `auth` message with an unusable `protocol` member: the link is closed with [`NOT_AUTH`](super::close::NOT_AUTH).
    #[error("the auth message's protocol member is unusable: {0}")]
    BadHello(String),
    /// The proxy's reply is none that a proxy sends.
    #[error("the proxy's answer is neither auth_success nor auth_failed")]
    BadReply,
}

impl Auth {
    /// Makes the first message of a slave.
    pub fn new(code: String, hello: SlaveHello) -> Self {
        Self { kind: "auth".into(), slave_code: PresentedCode(code), protocol: Some(hello) }
    }

    /// Reads a first message. A `protocol` with another name is ignored, as the existing Node server does.
    ///
    /// # Errors
    /// The message is too long, no `auth` message, or has an unusable hello.
    pub fn parse(text: &str) -> Result<Self, HandshakeError> {
        #[derive(Deserialize)]
        struct Unchecked<'a> {
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
        let Object(unchecked): Object<Unchecked<'_>> =
            serde_json::from_str(text).map_err(|_| HandshakeError::NotAuth)?;
        if unchecked.kind != "auth" {
            return Err(HandshakeError::NotAuth);
        }
        let protocol = match unchecked.protocol {
            Some(value) if value.get("name").and_then(|n| n.as_str()) == Some(PROTOCOL_NAME) => {
                let hello =
                    serde_json::from_value(value).map_err(|e| HandshakeError::BadHello(e.to_string()))?;
                check_hello(&hello).map_err(|reason| HandshakeError::BadHello(reason.to_owned()))?;
                Some(hello)
            }
            _ => None,
        };
        Ok(Self { kind: "auth".into(), slave_code: unchecked.slave_code, protocol })
    }
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::link::handshake::hello::choose_version;
    use crate::link::handshake::resume::{MAX_RESUME, ResumeProof, nonce_text};

    fn hello() -> SlaveHello {
        SlaveHello {
            name: PROTOCOL_NAME.into(),
            versions: vec![2],
            instance: InstanceId(7).to_string(),
            nonce: nonce_text([7; 32]),
            slave_name: "s1".into(),
            labels: BTreeMap::from([("platform".into(), "gitlab".into())]),
            capacity: 4,
            window: 262_144,
            agent: "test".into(),
            ..SlaveHello::default()
        }
    }

    #[test]
    fn an_auth_message_of_a_node_slave_has_no_hello() {
        let auth = Auth::parse(r#"{"type":"auth","slaveCode":"code1"}"#).unwrap();
        assert_eq!(auth.slave_code.0, "code1");
        assert!(auth.protocol.is_none());
        assert!(!format!("{auth:?}").contains("code1"));
    }

    #[test]
    fn a_hello_round_trips_in_the_form_of_the_node_server() {
        let text = serde_json::to_string(&Auth::new("c".into(), hello())).unwrap();
        assert!(
            text.starts_with(r#"{"type":"auth","slaveCode":"c","protocol":{"name":"mcp-relay""#),
            "{text}"
        );
        assert_eq!(Auth::parse(&text).unwrap().protocol, Some(hello()));
    }

    #[test]
    fn unusable_first_messages_are_rejected() {
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
            |h: &mut SlaveHello| h.nonce = "7".into(),
            |h: &mut SlaveHello| drop(h.resume.insert("7".into(), ResumeProof::new(&[7; 32]))),
            |h: &mut SlaveHello| drop(h.resume.insert(InstanceId(7).to_string(), ResumeProof("7".into()))),
            |h: &mut SlaveHello| {
                let proof = |n: usize| (InstanceId(n as u64).to_string(), ResumeProof::new(&[7; 32]));
                h.resume = (0..=MAX_RESUME).map(proof).collect();
            },
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
    fn an_unknown_version_means_the_plain_dialect() {
        assert_eq!(choose_version(&[1, 2, 9]), Some(2));
        assert_eq!(choose_version(&[1]), None);
        let plain =
            AuthReply::parse(r#"{"type":"auth_success","message":"Authentication successful","x":1}"#)
                .unwrap();
        assert_eq!(plain, AuthReply::success(None));
        let odd = r#"{"type":"auth_success","message":"Authentication successful","protocol":{"name":"mcp-relay","version":9}}"#;
        assert_eq!(AuthReply::parse(odd).unwrap(), AuthReply::success(None));
        assert!(AuthReply::parse(r#"{"type":"x"}"#).is_err());
    }
}
