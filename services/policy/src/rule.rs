//! One rule: whom, what, where and which arguments it is about, and what follows. Must not know other rules.

use crate::annotations::{AnnotationMatch, Annotations};
use crate::argument::{Argument, Holds};
use crate::place::{Place, Places};
use crate::requester::Requester;
use crate::subject::{Subject, SubjectKind, What};
use crate::who::{Who, any_contains};

/// What follows from a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Deny,
    /// Allows clients with all these scopes; others are told which they need.
    Allow {
        scopes: Vec<String>,
    },
}

/// A rule of the file.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    /// Line in the file.
    pub(crate) line: u64,
    pub(crate) effect: Effect,
    pub(crate) who: Vec<Who>,
    /// `None`: everything; of an allowing rule all but methods that the specifications do not name.
    pub(crate) what: Option<What>,
    /// Slaves; empty: all.
    pub(crate) places: Vec<Places>,
    /// Of denying rules only.
    pub(crate) annotations: Option<AnnotationMatch>,
    /// All must hold.
    pub(crate) arguments: Vec<Argument>,
}

impl Rule {
    pub(crate) fn allows(&self) -> bool {
        self.effect != Effect::Deny
    }

    pub(crate) fn is_about_client(&self, client: &Requester<'_>) -> bool {
        any_contains(&self.who, client)
    }

    /// Returns whether the client has the scopes that the rule requires.
    pub(crate) fn is_in_scope(&self, client: &Requester<'_>) -> bool {
        match &self.effect {
            Effect::Deny => true,
            Effect::Allow { scopes } => scopes.iter().all(|scope| client.scopes.contains(scope)),
        }
    }

    pub(crate) fn is_about(&self, subject: &Subject<'_>, annotations: Option<Annotations>) -> bool {
        let named = match (&self.what, self.allows()) {
            (None, true) => subject.kind != SubjectKind::Method,
            (None, false) => true,
            (Some(what), true) => what.names_all(subject),
            (Some(what), false) => what.names_any(subject),
        };
        let has_arguments = matches!(subject.kind, SubjectKind::Tool | SubjectKind::Prompt);
        named
            && (has_arguments || !self.allows() || self.arguments.is_empty())
            && self.annotations.is_none_or(|wanted| annotations.is_some_and(|given| wanted.holds(given)))
    }

    /// Returns whether the rule is about a slave as a whole: an allowing one if it allows anything there, a denying one if it denies all.
    pub(crate) fn is_about_all_of(&self, place: Place<'_>) -> bool {
        let is_whole = self.what.is_none() && self.annotations.is_none() && self.arguments.is_empty();
        self.is_at(place) && (self.allows() || is_whole)
    }

    pub(crate) fn is_at(&self, place: Place<'_>) -> bool {
        self.places.is_empty() || self.places.iter().any(|places| places.has(place))
    }

    /// Returns whether the conditions on arguments hold: what is unclear neither fulfils a permission nor evades a denial.
    pub(crate) fn arguments_hold(&self, message: &[u8]) -> bool {
        let holds = |argument: &Argument| match argument.check(message) {
            Holds::Yes => true,
            Holds::No => false,
            Holds::Unclear => !self.allows(),
        };
        self.arguments.iter().all(holds)
    }
}
