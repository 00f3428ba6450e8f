//! Why an authenticated slave gets no link: the proxy, or the slave's code, has all the links that it may have. Must not know
//! sockets.

use std::sync::Arc;

use super::catalog::CatalogAccounts;
use super::slave::Slave;
use crate::access::Grant;

/// Why there is no place for a slave.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPlace {
    /// `MAX_SLAVES` are linked.
    #[error("{0} slaves are connected already (MAX_SLAVES)")]
    Proxy(usize),
    /// The slave's code has as many links as it may have.
    #[error(
        "{0} slaves are connected with this code already (limits.links of its entry, else MAX_LINKS_PER_CODE)"
    )]
    Code(usize),
}

impl NoPlace {
    /// Returns the stable label of the metric.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Proxy(_) => "full",
            Self::Code(_) => "code_full",
        }
    }
}

/// Checks that the code of this grant may have another link besides those of `slaves`.
pub(super) fn check_code<'a>(
    slaves: impl Iterator<Item = &'a Arc<Slave>>,
    grant: &Grant,
    accounts: &CatalogAccounts,
) -> Result<(), NoPlace> {
    let of_code = |slave: &&Arc<Slave>| slave.is_linked() && slave.grant().identity() == grant.identity();
    let linked = slaves.filter(of_code).count();
    if linked >= accounts.max_links(grant) { Err(NoPlace::Code(linked)) } else { Ok(()) }
}
