//! Identity of a slave by proof: the code that it presented. Must not know what a code allows, nor what a slave says of itself.

use std::fmt;
use std::sync::Arc;

use super::code::CodeDigest;

/// Longest name of a slave, in bytes ([`protocol::link::handshake::check_slave_name`]).
const MAX_NAME: usize = 63;

/// Identity of a slave: what it proved by its code, never what it says of itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Identity {
    /// Name of the code. Two codes of one name are one identity, so that a code can be changed without becoming somebody else.
    Named(Arc<str>),
    /// Digest of a code without a name.
    Unnamed(CodeDigest),
}

/// Domain inside which slaves trust each other's definitions: slaves of one domain that offer the same tool share its calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TrustDomain {
    /// Domain of all codes without a name.
    List,
    /// Domain of the codes with this name.
    Named(Arc<str>),
}

impl Identity {
    /// Returns the name of the code, if it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Unnamed(_) => None,
        }
    }

    /// Returns the domain that the identity belongs to.
    pub(crate) fn domain(&self) -> TrustDomain {
        match self {
            Self::Named(name) => TrustDomain::Named(Arc::clone(name)),
            Self::Unnamed(_) => TrustDomain::List,
        }
    }
}

impl Default for Identity {
    /// The identity of no code, for tests and for slaves whose grant is not known yet.
    fn default() -> Self {
        Self::Unnamed(CodeDigest::default())
    }
}

/// Name for logs, audit and API: that of the code, else its key id.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Unnamed(code) => f.write_str(&code.key_id()),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "Named({name:?})"),
            Self::Unnamed(_) => f.write_str("Unnamed([redacted])"),
        }
    }
}

/// Returns the name under which a slave is shown: the one that it announced, and for a named code the code's name in front
/// unless the announced name is that name or begins with it and a hyphen. At most 63 characters.
pub(crate) fn shown_name(identity: &Identity, announced: &str) -> String {
    let Some(code) = identity.name() else { return announced.to_owned() };
    let is_derived =
        announced == code || announced.strip_prefix(code).is_some_and(|rest| rest.starts_with('-'));
    match announced {
        _ if is_derived => announced.to_owned(),
        "" => code.to_owned(),
        // Names are ASCII, so that bytes are characters.
        _ => format!("{code}-{announced}").chars().take(MAX_NAME).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slave_of_a_named_code_is_shown_under_that_name() {
        let office = Identity::Named("office".into());
        for (announced, shown) in [
            ("office", "office"),
            ("office-1", "office-1"),
            ("pod-x", "office-pod-x"),
            ("officer", "office-officer"),
            ("office2", "office-office2"),
            ("Office", "office-Office"),
            ("", "office"),
        ] {
            assert_eq!(shown_name(&office, announced), shown, "{announced}");
        }
        let long = shown_name(&office, &"x".repeat(63));
        assert!(long.len() == 63 && long.starts_with("office-xxx"), "{long}");
        assert_eq!(shown_name(&Identity::default(), "officer"), "officer");
    }

    #[test]
    fn identities_are_told_apart_without_showing_a_code() {
        let (one, two) =
            (Identity::Unnamed(CodeDigest::of("hush1")), Identity::Unnamed(CodeDigest::of("hush2")));
        assert_ne!(one, two);
        assert_eq!(one.domain(), two.domain());
        assert_ne!(one.domain(), Identity::Named("list".into()).domain());
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
        assert_eq!(one.to_string().len(), 32);
        assert_ne!(one.to_string(), two.to_string());
        assert_eq!(Identity::Named("office".into()).to_string(), "office");
    }
}
