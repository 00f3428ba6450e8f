//! Facts about grants of the OAuth broker that slaves are told, and who takes those of other proxies. Must not know slaves.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use protocol::link::grant_fact::GrantId;
use protocol::link::revocation::RevocationFact;
use protocol::link::rotation::RotationFact;

use super::fact_table::FactTable;

/// A token that the broker of a proxy issued last for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IssuedToken {
    /// The grant.
    pub(crate) grant: GrantId,
    /// End of the grant, in seconds since 1970.
    pub(crate) until: u64,
    /// Number of the token among those of the grant.
    pub(crate) generation: u64,
    /// Id of the token.
    pub(crate) token: [u8; 16],
}

impl From<&RotationFact> for IssuedToken {
    fn from(fact: &RotationFact) -> Self {
        let RotationFact { until, grant, generation, token, .. } = *fact;
        Self { grant, until, generation, token }
    }
}

/// The grants of this proxy's broker, as facts of other proxies concern them.
pub(crate) trait Grants: Send + Sync {
    /// Returns whether a grant is revoked.
    fn is_revoked(&self, grant: GrantId) -> bool;

    /// Revokes grants that were revoked at another proxy, each with its end, in seconds since 1970.
    fn revoke(&self, grants: &BTreeMap<GrantId, u64>);

    /// Returns whether a token that was issued at another proxy changes nothing here.
    fn knows(&self, issued: &IssuedToken) -> bool;

    /// Takes a token that was issued at another proxy: the one that it replaced is not valid any more.
    fn on_issued(&self, issued: &IssuedToken);
}

/// Facts about grants, and who takes those of other proxies.
#[derive(Default)]
pub(super) struct GrantTables {
    /// Set once; without it facts of other proxies are ignored.
    pub(super) grants: OnceLock<Box<dyn Grants>>,
    pub(super) revocations: FactTable<RevocationFact>,
    pub(super) rotations: FactTable<RotationFact>,
}
