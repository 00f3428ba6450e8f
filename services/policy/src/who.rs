//! The clients that a rule is about. Must not know what they ask for.

use runtime::glob::{Glob, any_matches};

use crate::requester::Requester;

/// A set of clients.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// Every client, also one that has shown nothing.
    Anyone,
    /// Every client that has shown a key, a token or a certificate.
    Authenticated,
    /// Clients for which all conditions hold.
    Given(Conditions),
}

/// Conditions, of which each that is given must hold: one of its patterns matches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) key: Option<Vec<Glob>>,
    pub(crate) group: Option<Vec<Glob>>,
    pub(crate) subject: Option<Vec<Glob>>,
    pub(crate) issuer: Option<Vec<Glob>>,
    pub(crate) scope: Option<Vec<Glob>>,
    pub(crate) certificate: Option<Vec<Glob>>,
}

impl Who {
    pub(crate) fn contains(&self, client: &Requester<'_>) -> bool {
        match self {
            Self::Anyone => true,
            Self::Authenticated => client.is_authenticated(),
            Self::Given(conditions) => conditions.hold(client),
        }
    }
}

impl Conditions {
    fn hold(&self, client: &Requester<'_>) -> bool {
        let one = |wanted: &Option<Vec<Glob>>, value: Option<&str>| {
            wanted.as_ref().is_none_or(|globs| value.is_some_and(|value| any_matches(globs, value)))
        };
        let some = |wanted: &Option<Vec<Glob>>, values: &[String]| {
            wanted.as_ref().is_none_or(|globs| values.iter().any(|value| any_matches(globs, value)))
        };
        one(&self.key, client.key.as_deref())
            && some(&self.group, &client.groups)
            && one(&self.subject, client.subject.as_deref())
            && one(&self.issuer, client.issuer.as_deref())
            && some(&self.scope, &client.scopes)
            && some(&self.certificate, &client.certificate)
    }
}

/// Returns whether one of several sets has the client.
pub(crate) fn any_contains(all: &[Who], client: &Requester<'_>) -> bool {
    all.iter().any(|who| who.contains(client))
}
