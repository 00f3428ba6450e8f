//! The decision on one request. Must not know how it is made.

/// Whether a client may do what it asks for at one slave. Numbers are those of the rules that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allowed,
    /// It may with another scope, which the rule names.
    Challenge(usize),
    /// It may use the entry, but not with these arguments.
    Forbidden(usize),
    /// It may not know of the entry. `None`: no rule allows it.
    Hidden(Option<usize>),
}

impl Decision {
    /// Returns whether lists show the entry.
    pub fn is_shown(self) -> bool {
        !matches!(self, Self::Hidden(_))
    }

    /// Returns the number of the rule that decided.
    pub fn rule(self) -> Option<usize> {
        match self {
            Self::Allowed | Self::Hidden(None) => None,
            Self::Challenge(rule) | Self::Forbidden(rule) | Self::Hidden(Some(rule)) => Some(rule),
        }
    }

    /// Returns the stable name, as metrics and tests of policies have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allow",
            Self::Challenge(_) => "challenge",
            Self::Forbidden(_) => "forbidden",
            Self::Hidden(_) => "deny",
        }
    }

    /// Returns the one of both that lets the client do more.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let rank = |decision| match decision {
            Self::Allowed => 0,
            Self::Challenge(_) => 1,
            Self::Forbidden(_) => 2,
            Self::Hidden(_) => 3,
        };
        if rank(other) < rank(self) { other } else { self }
    }
}
