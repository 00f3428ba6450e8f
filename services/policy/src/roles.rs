//! Roles of operators: who may read what of the operators' endpoints. Must not know HTTP.

use crate::requester::Requester;
use crate::who::{Who, any_contains};

/// What an operator may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Metrics.
    Metrics,
    /// The whole API.
    Api,
    /// What the status page shows.
    Ui,
}

/// Who has which role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roles {
    pub(crate) metrics: Vec<Who>,
    pub(crate) api: Vec<Who>,
    pub(crate) ui: Vec<Who>,
}

impl Roles {
    pub(crate) fn allow(&self, role: Role, client: &Requester<'_>) -> bool {
        let who = match role {
            Role::Metrics => &self.metrics,
            Role::Api => &self.api,
            Role::Ui => &self.ui,
        };
        any_contains(who, client)
    }
}
