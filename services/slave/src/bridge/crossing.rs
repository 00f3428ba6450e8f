//! What a call crosses on its way to a backend. Must not know what calls are.

use super::tasks::TaskIds;
use crate::call::Backend;
use crate::task_owners::TaskOwners;

/// A backend as the bridge calls it.
pub(crate) struct Crossing<'a> {
    /// The backend.
    pub(crate) backend: &'a dyn Backend,
    /// The backend's name.
    pub(crate) owner: &'a str,
    /// The ids of tasks.
    pub(crate) tasks: &'a TaskIds,
    /// Whose tasks are.
    pub(crate) owners: &'a TaskOwners,
}
