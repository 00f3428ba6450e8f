//! The contents of a policy file, as they were read. Must not know how they decide.

use crate::probe::PolicyTest;
use crate::quota::Quota;
use crate::roles::Roles;
use crate::rule::Rule;

/// What holds where no rule allows or denies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fallback {
    Allow,
    #[default]
    Deny,
}

/// The contents of a policy file.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) fallback: Fallback,
    /// Denying rules first.
    pub(crate) rules: Vec<Rule>,
    pub(crate) quotas: Vec<Quota>,
    pub(crate) operators: Option<Roles>,
    pub(crate) tests: Vec<PolicyTest>,
}
