//! Hellos: what each side that speaks the native dialect says of itself in the `protocol` member. Must not know codes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::resume::{MAX_RESUME, ResumeProof, ResumeSecret, is_nonce};
use crate::link::fleet::FleetProof;
use crate::link::ids::InstanceId;
use crate::link::limits::MIN_WINDOW;

/// Value of `protocol.name`; any other means the plain dialect.
pub const PROTOCOL_NAME: &str = "mcp-relay";

/// Versions of the native dialect that this release speaks, newest first.
pub const VERSIONS: [u16; 1] = [2];

/// Labels by which a slave says which default repository on GitHub and project on GitLab it has for reviews. It sets them by
/// itself; without one it has none.
pub const REVIEW_DEFAULTS: [&str; 2] = ["github-default", "gitlab-default"];

/// Hello of a slave that speaks the native dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlaveHello {
    /// [`PROTOCOL_NAME`].
    pub name: String,
    /// Versions that the slave speaks.
    pub versions: Vec<u16>,
    /// Instance of the process, 16 hex digits. It tells a process from its successor and proves nothing.
    pub instance: String,
    /// Base64url of 32 random bytes, new for each link: the proxy signs it, and resume proofs are bound to it.
    pub nonce: String,
    /// Resume proofs by the instance of the proxy process that issued the secret, at most [`MAX_RESUME`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resume: BTreeMap<String, ResumeProof>,
    /// Name (`SLAVE_NAME`). The name that is shown follows from it and from the name of the code.
    pub slave_name: String,
    /// Labels (`SLAVE_LABELS`).
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Calls that the slave runs at once (`SLAVE_CAPACITY`); 0: no limit.
    #[serde(default)]
    pub capacity: u32,
    /// Credit window in bytes for what this side receives, for each call.
    pub window: u32,
    /// Share of the calls beside other slaves of a pool, in percent of an ordinary slave's; 0: 100.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight: u32,
    /// Name of a resource that one process at a time can hold: another instance of the same identity with the same seat means that
    /// the process before is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<String>,
    /// Instances of the proxies that the slave is linked to, 16 hex digits each: such a proxy closes with
    /// [`ALREADY_LINKED`](super::close::ALREADY_LINKED) and changes nothing (a load balancer led the slave there again). `Some`,
    /// also if empty: the slave takes `peers` frames and passes ended sessions on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<Vec<String>>,
    /// Program and version, for logs.
    #[serde(default)]
    pub agent: String,
    /// The slave only asks whether its code is accepted (`mcp-relay doctor`): the proxy answers and closes, and registers nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Hello of a proxy that speaks the native dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyHello {
    /// [`PROTOCOL_NAME`].
    pub name: String,
    /// Version chosen from the slave's.
    pub version: u16,
    /// Instance of the process, 16 hex digits.
    pub instance: String,
    /// Id of the slave at this proxy, for people: 16 hex digits, random. Empty in the answer to a probe.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub slave: String,
    /// Name under which the slave is shown. Empty in the answer to a probe.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub slave_name: String,
    /// Resume secret of this slave process at this proxy process, the same on each of its links. Empty in the answer to a probe.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resume: ResumeSecret,
    /// The proxy knows the slave process and has its calls.
    #[serde(default)]
    pub resumed: bool,
    /// Proofs of the proxy's fleet, 1 or 2.
    #[serde(default)]
    pub fleet: Vec<FleetProof>,
    /// The proxy's own peer fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fact: Option<String>,
    /// Label of the slave process, which it puts in front of each `requestState` that its backends give out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_label: Option<String>,
    /// Milliseconds for which calls outlive a broken link.
    pub grace_ms: u64,
    /// Credit window in bytes for what this side receives, for each call.
    pub window: u32,
    /// Peer facts of the proxies that this one knows of, itself included: a slave behind a load balancer wants a link to all of
    /// them. Not empty: the proxy takes `peers` frames and ended sessions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
    /// Smallest number of proxies that there can be, this one included, where that is known from elsewhere; 0: unknown.
    #[serde(default, skip_serializing_if = "is_default")]
    pub peers_at_least: u32,
    /// Program and version, for logs.
    #[serde(default)]
    pub agent: String,
}

/// Returns what is wrong with a hello, if anything.
pub(super) fn check_hello(hello: &SlaveHello) -> Result<(), &'static str> {
    if InstanceId::parse(&hello.instance).is_none() {
        return Err("instance must be 16 hex digits");
    }
    if !is_nonce(&hello.nonce) {
        return Err("nonce must be base64url of 32 bytes");
    }
    let is_resume = |(proxy, proof): (&String, &ResumeProof)| {
        InstanceId::parse(proxy).is_some() && proof.bytes().is_some()
    };
    if hello.resume.len() > MAX_RESUME || !hello.resume.iter().all(is_resume) {
        return Err("resume must be at most 64 proofs by instance");
    }
    check_slave_name(&hello.slave_name)?;
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

/// Checks the name of a slave: 1 to 63 letters, digits, `-`, `_` or `.`, since it becomes a prefix of tool names and a metric
/// label.
///
/// # Errors
/// The rule, for people.
pub fn check_slave_name(name: &str) -> Result<(), &'static str> {
    let fits = (1..=63).contains(&name.len());
    if fits && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        Ok(())
    } else {
        Err("slave name must be 1 to 63 letters, digits, '-', '_' or '.'")
    }
}

/// Returns the newest version that both sides speak; `None` where there is none (the link is plain then).
pub fn choose_version(offered: &[u16]) -> Option<u16> {
    VERSIONS.into_iter().find(|v| offered.contains(v))
}
