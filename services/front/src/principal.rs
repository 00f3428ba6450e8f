//! The identity of a caller. Must not know where a key stands in a request.

use std::fmt;

use runtime::secret::SecretSet;

/// A caller by proof: the digest of the presented key, or [`Self::ANYONE`] where no keys are set.
///
/// Session ids are bound to the principal: a stolen token is of no use to the holder of another key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Principal([u8; 32]);

impl Principal {
    /// Every caller, where no keys are set.
    pub const ANYONE: Self = Self([0; 32]);

    /// The holder of a presented key; `None` if the key is not accepted. See [`SecretSet::find`] for timing.
    pub fn identify(keys: &SecretSet, presented: &[u8]) -> Option<Self> {
        keys.find(presented).map(Self)
    }

    /// Returns the id of the key for the audit stream: 128 bits of its digest in hex. `None` for [`Self::ANYONE`].
    pub fn key_id(&self) -> Option<String> {
        let hex = |text: String, byte: &u8| text + &format!("{byte:02x}");
        (*self != Self::ANYONE).then(|| self.0[..16].iter().fold(String::with_capacity(32), hex))
    }

    /// SHA-256 of the presented key; zeros for [`Self::ANYONE`].
    pub fn digest(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Principal([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_accepted_key_is_a_principal_of_its_own_and_none_is_formatted() {
        let keys = SecretSet::new([" hush1 ", "hush2", "", " "]);
        let principal = |key: &str| Principal::identify(&keys, key.as_bytes());
        for (presented, accepted) in [
            ("hush1", true),
            (" hush2", true),
            ("hush", false),
            ("hush12", false),
            ("", false),
            ("HUSH1", false),
        ] {
            assert_eq!(principal(presented).is_some(), accepted, "{presented:?}");
        }
        assert_eq!(format!("{:?}", principal("hush1")), "Some(Principal([redacted]))");
        assert_ne!(principal("hush1"), principal("hush2"));
        let id = principal("hush1").unwrap().key_id().unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(Principal::ANYONE.key_id(), None);
        assert!(Principal::identify(&SecretSet::default(), b"").is_none());
    }
}
