//! The identity of a caller. Must not know where a key stands in a request.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use runtime::keys::Key;

/// A caller by proof: a digest of the name of the presented key, of the key itself where it has no name, or
/// [`Self::ANYONE`] where no key was presented.
///
/// Session ids are bound to the principal: a stolen token is of no use to the holder of another key, and a key that
/// replaces another of the same name keeps the sessions. Each kind of identity is digested with a prefix of its own
/// ([`Key::identity_of_name`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Principal([u8; 32]);

impl Principal {
    /// Every caller without a key.
    pub const ANYONE: Self = Self([0; 32]);

    /// The holder of a key.
    pub fn of(key: &Key) -> Self {
        Self(key.identity())
    }

    /// The digest in hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The digest that stands for the caller; zeros for [`Self::ANYONE`].
    pub fn digest(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Principal([redacted])")
    }
}

/// The sender of a request that was let in.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    /// The key that was presented; `None` where none is asked for.
    pub(crate) key: Option<Arc<Key>>,
}

impl Credential {
    /// A sender of whom no key was asked.
    pub(crate) const ANONYMOUS: Self = Self { key: None };

    /// Returns the id of the key for the audit stream; `None` where no key was asked for.
    pub(crate) fn key_id(&self) -> Option<String> {
        self.key.as_deref().map(Key::id)
    }

    /// Returns the identity that sessions and calls belong to.
    pub(crate) fn principal(&self) -> Principal {
        self.key.as_deref().map_or(Principal::ANYONE, Principal::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_name_are_one_principal_and_nothing_secret_is_formatted() {
        let named = |key: &str, name: &str| Principal::of(&Key::of(key).named(name));
        assert_eq!(named("hush1", "ci"), named("hush2", "ci"));
        assert_ne!(named("hush1", "ci"), named("hush1", "cd"));
        assert_ne!(Principal::of(&Key::of("hush1")), Principal::of(&Key::of("hush2")));
        assert_ne!(Principal::of(&Key::of("hush1")), named("hush1", "ci"));
        assert_eq!(format!("{:?}", named("hush1", "ci")), "Principal([redacted])");
        let credential = Credential { key: Some(Arc::new(Key::of("hush1"))) };
        assert!(!format!("{credential:?}").contains("hush"));
        assert_eq!(Credential::ANONYMOUS.principal(), Principal::ANYONE);
    }
}
