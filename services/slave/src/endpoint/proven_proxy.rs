//! A proxy of the native dialect, once its first message was checked. Must not know how it was checked.

use std::time::Duration;

use protocol::link::fleet::FleetKeys;
use protocol::link::handshake::ProxyHello;
use protocol::link::ids::InstanceId;
use protocol::link::peers::PeerFact;
use protocol::link::slave_end::ProxyPeer;

/// A proxy that proved its fleet.
#[derive(Clone, Debug)]
pub(crate) struct ProvenProxy {
    /// Its first message.
    pub(crate) hello: ProxyHello,
    /// The instance of its process.
    pub(crate) instance: InstanceId,
    /// The keys of its fleet that it proved to hold.
    pub(crate) fleet: FleetKeys,
}

impl ProvenProxy {
    /// Returns whether another proxy is this same process: nobody of another fleet is, whatever instance it names.
    pub(super) fn is_same(&self, instance: InstanceId, fleet: &FleetKeys) -> bool {
        self.instance == instance && self.fleet.shares_a_key(fleet)
    }

    /// Returns the proxy as the state machine of the links needs it.
    pub(super) fn peer(&self) -> ProxyPeer {
        ProxyPeer {
            instance: self.instance,
            fleet: self.fleet,
            window: self.hello.window,
            grace: Duration::from_millis(self.hello.grace_ms),
        }
    }

    /// Returns the fact by which other proxies of the fleet know it; `None`: it exchanges no lists of proxies.
    pub(super) fn fact(&self) -> Option<PeerFact> {
        let fact = self.hello.fact.as_deref().and_then(PeerFact::parse);
        fact.filter(|fact| fact.instance == self.instance)
    }
}
