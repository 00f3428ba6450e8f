//! Roles of operators: who may read and do what at the operators' endpoints. Must not know HTTP.

use crate::requester::Requester;
use crate::who::{Who, any_contains};

/// What an operator may read or do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Metrics.
    Metrics,
    /// The whole API.
    Api,
    /// What the status page shows.
    Ui,
    /// Running tools and draining slaves by the status page.
    Operate,
}

/// Who has which role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roles {
    pub(crate) metrics: Vec<Who>,
    pub(crate) api: Vec<Who>,
    pub(crate) ui: Vec<Who>,
    pub(crate) operate: Vec<Who>,
}

impl Roles {
    pub(crate) fn allow(&self, role: Role, client: &Requester<'_>) -> bool {
        let who = match role {
            Role::Metrics => &self.metrics,
            Role::Api => &self.api,
            Role::Ui => &self.ui,
            Role::Operate => &self.operate,
        };
        any_contains(who, client)
    }
}
