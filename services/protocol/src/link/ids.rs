//! Identifiers on the link: processes, calls, chunks, connections. Must not know what they are used for.

use std::collections::HashMap;
use std::fmt;

/// Id of a running process (a proxy or a slave), random for each start: 64 bits, written as 16 hex digits.
///
/// A slave that comes back with the same instance still has its journals; another instance is another process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub u64);

impl InstanceId {
    /// Reads the 16 hex digits that [`fmt::Display`] writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Id of a call, unique among all proxies: the opening proxy's instance in the high 64 bits, a counter in the low.
///
/// The value 0 is never a call: frames that concern the link as a whole carry it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u128);

impl CallId {
    /// Id in frames that concern the link as a whole.
    pub const LINK: Self = Self(0);

    /// Makes the id of the `counter`th call of a proxy. Counters start at 1.
    pub fn new(proxy: InstanceId, counter: u64) -> Self {
        Self((u128::from(proxy.0) << 64) | u128::from(counter))
    }

    /// Returns the instance of the proxy that opened the call.
    pub fn proxy(self) -> InstanceId {
        InstanceId(u64::try_from(self.0 >> 64).unwrap_or_default())
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.0 >> 64, self.0 & u128::from(u64::MAX))
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Map by call. The hash has a fixed seed, so that simulations repeat: ids are made by proxies, from a random part and a counter,
/// and only authenticated peers name them.
pub type CallMap<V> = HashMap<CallId, V, foldhash::fast::FixedState>;

/// Number of a chunk in one direction of one call, from 0, without gaps.
pub type Seq = u64;

/// Id of one WebSocket connection, given by its owner; never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_text_round_trips_and_rejects_other_forms() {
        let id = InstanceId(0x00ab_cdef_0123_4567);
        assert_eq!(InstanceId::parse(&id.to_string()), Some(id));
        for bad in ["", "0", "00abcdef0123456", "00abcdef012345678", "+0abcdef01234567", "zzabcdef01234567"] {
            assert_eq!(InstanceId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn calls_of_two_proxies_never_share_an_id() {
        assert_ne!(CallId::new(InstanceId(1), 7), CallId::new(InstanceId(2), 7));
        assert_ne!(CallId::new(InstanceId(0), 1), CallId::LINK);
        assert_eq!(CallId::new(InstanceId(u64::MAX), 7).proxy(), InstanceId(u64::MAX));
    }
}
