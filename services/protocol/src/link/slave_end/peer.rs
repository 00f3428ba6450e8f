//! The proxy behind a link, as its first message described it. Must not know frames.

use std::time::Duration;

use crate::link::fleet::FleetKeys;
use crate::link::ids::InstanceId;

/// Proxy behind a link.
#[derive(Clone, Copy, Debug)]
pub struct ProxyPeer {
    /// Instance of the process, which all calls that it opens have in their ids.
    pub instance: InstanceId,
    /// Keys of its fleet that it proved to hold.
    pub fleet: FleetKeys,
    /// Credit window that it announced, in bytes.
    pub window: u32,
    /// How long it keeps calls for a slave whose link broke.
    pub grace: Duration,
}
