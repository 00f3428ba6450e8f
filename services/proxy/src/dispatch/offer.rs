//! An offer: one definition of one slave, with what decides whose pool it joins and which name it is shown under. Must not know links.

use std::cmp::Ordering;

use protocol::mcp::canonical::DefinitionDigest;
use protocol::mcp::kind::Kind;

use crate::access::{Identity, PoolDomain};

/// Input schema of a tool, by which the tools of one name are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Schema {
    /// The definition has none.
    Absent,
    /// Digest of its canonical form without wording.
    Digest(DefinitionDigest),
}

/// One definition that one slave offers.
#[derive(Clone, Debug)]
pub(super) struct Offer<'a> {
    pub(super) kind: Kind,
    /// The slave's own name of the tool.
    pub(super) name: &'a str,
    /// Identity of the slave.
    pub(super) identity: &'a Identity,
    /// Rank of the identity; a lower one precedes.
    pub(super) rank: u32,
    /// With whom the slave may share the calls of the tool.
    pub(super) domain: PoolDomain,
    /// Name under which the slave is shown.
    pub(super) slave: &'a str,
    /// Digest of the definition. `None`: it equals no other.
    pub(super) digest: Option<DefinitionDigest>,
    /// `None`: it equals no other.
    pub(super) schema: Option<Schema>,
    /// The definition.
    pub(super) text: &'a str,
    /// Position in the slave's list.
    pub(super) position: usize,
}

impl Offer<'_> {
    /// Compares the precedence of two offers: by identity, then slave, then definition. Nothing in it depends on when a slave came.
    pub(super) fn precedence(&self, other: &Self) -> Ordering {
        let by_identity = self.rank.cmp(&other.rank).then_with(|| self.identity.cmp(other.identity));
        let by_slave = by_identity.then_with(|| self.slave.cmp(other.slave));
        // Definitions without a digest come last.
        let digest = |offer: &Self| (offer.digest.is_none(), offer.digest);
        by_slave.then_with(|| digest(self).cmp(&digest(other))).then_with(|| self.text.cmp(other.text))
    }

    /// Returns whether both offers are one tool, whose calls the slaves share.
    pub(super) fn pools_with(&self, other: &Self) -> bool {
        self.schema.is_some() && self.schema == other.schema && self.domain == other.domain
    }

    /// Returns what tells the definition from others of its provider.
    pub(super) fn salt(&self) -> String {
        self.digest.map_or_else(|| self.text.to_owned(), |digest| digest.to_string())
    }
}
