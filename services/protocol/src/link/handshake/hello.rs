//! Hellos: what each side that speaks the native dialect says of itself in the `protocol` member. Must not know codes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::link::ids::InstanceId;
use crate::link::limits::MIN_WINDOW;

/// The name in `protocol.name`; another name means the plain dialect.
pub const PROTOCOL_NAME: &str = "mcp-relay";

/// Versions of the native dialect that this code speaks, newest first.
pub const VERSIONS: [u16; 1] = [1];

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

pub(super) fn check_hello(hello: &SlaveHello) -> Result<(), &'static str> {
    if InstanceId::parse(&hello.instance).is_none() {
        return Err("instance must be 16 hex digits");
    }
    if let Err(reason) = check_slave_name(&hello.slave_name) {
        return Err(reason);
    }
    if hello.window < MIN_WINDOW {
        return Err("window must be at least 131072");
    }
    if hello.seat.as_ref().is_some_and(|seat| seat.is_empty() || seat.len() > 255) {
        return Err("seat must have 1 to 255 bytes");
    }
    if hello.linked.iter().flatten().any(|id| InstanceId::parse(id).is_none()) {
        return Err("linked must be instances of 16 hex digits");
    }
    if hello.labels.iter().any(|(k, v)| k.is_empty() || k.len() > 63 || v.len() > 255) {
        return Err("labels need keys of 1 to 63 and values of at most 255 characters");
    }
    Ok(())
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
