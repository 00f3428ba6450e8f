//! Quotas: how many calls a day a set of clients may make. Must not know who counts them.

use crate::requester::Requester;
use crate::subject::{Subject, What};
use crate::who::{Who, any_contains};

/// Whose calls count together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuotaShare {
    /// Each client's are counted by themselves.
    #[default]
    Each,
    /// Those of all clients that the quota is about.
    Together,
}

/// A number of calls a day.
#[derive(Clone, Debug)]
pub struct Quota {
    /// Its name, by which it is known when the file is read again.
    pub name: String,
    /// Calls a day.
    pub calls: u32,
    /// Whose calls count together.
    pub share: QuotaShare,
    pub(crate) who: Vec<Who>,
    /// `None`: calls of everything.
    pub(crate) what: Option<What>,
}

impl QuotaShare {
    /// Returns the word of the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Each => "each",
            Self::Together => "together",
        }
    }
}

impl Quota {
    /// Returns whether a call of this client counts.
    pub fn counts(&self, client: &Requester<'_>, subject: &Subject<'_>) -> bool {
        any_contains(&self.who, client) && self.what.as_ref().is_none_or(|what| what.names_any(subject))
    }
}
