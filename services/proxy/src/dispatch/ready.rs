//! The slaves that take calls, with their grants and catalogs at one moment, and what they offer. Must not know pools.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use protocol::mcp::canonical::{self, DefinitionDigest};
use protocol::mcp::catalog::{Catalog, CatalogEntry, CatalogServer, ListHints, ListKind};
use protocol::mcp::kind::Kind;

use super::offer::{Offer, Schema};
use crate::access::{Grant, Identity, PoolDomain, Precedence};
use crate::links::Slave;

/// Member of a definition by which the tools of one name are told apart.
const INPUT_SCHEMA: &str = "inputSchema";

/// Member of a definition by which the prompts of one name are told apart.
const ARGUMENTS: &str = "arguments";

/// Input schemas by the digests of their definitions, so that each definition is hashed once.
pub(super) type Schemas = HashMap<DefinitionDigest, Schema>;

/// A slave that takes calls, or is awaited to take them again.
pub(super) struct Ready {
    slave: Arc<Slave>,
    grant: Arc<Grant>,
    catalog: Arc<Catalog>,
}

impl Ready {
    /// Returns the slave's hints for caches of its lists of this kind.
    pub(super) fn hints(&self, kind: ListKind) -> ListHints {
        self.catalog.hints[kind as usize]
    }

    /// Returns the slave.
    pub(super) fn slave(&self) -> &Arc<Slave> {
        &self.slave
    }

    /// Returns what the slave's backends say of themselves.
    pub(super) fn servers(&self) -> &[CatalogServer] {
        &self.catalog.servers
    }

    /// Returns the slave's tools.
    pub(super) fn tools(&self) -> &[Arc<CatalogEntry>] {
        self.catalog.list(ListKind::Tools)
    }

    /// Returns who the slave is by proof.
    pub(super) fn identity(&self) -> &Identity {
        self.grant.identity()
    }

    /// Returns with whom the slave may share requests that name no tool.
    pub(super) fn domain(&self) -> PoolDomain {
        PoolDomain::Own(self.grant.identity().domain())
    }
}

/// All offers with the slaves and definitions that they stand for.
pub(super) struct Offers<'a> {
    pub(super) list: Vec<Offer<'a>>,
    /// Slave and definition of each offer.
    pub(super) of: Vec<(&'a Arc<Slave>, &'a CatalogEntry)>,
    pub(super) schemas: Schemas,
}

/// Returns the slaves that take calls, and those that are awaited, so that a link that breaks and comes back changes nothing for clients.
pub(super) fn ready(slaves: &[Arc<Slave>], now: Instant) -> Vec<Ready> {
    let ready = slaves.iter().filter(|slave| slave.accepts_calls() || slave.awaited_until(now).is_some());
    ready
        .map(|slave| Ready { slave: Arc::clone(slave), grant: slave.grant(), catalog: slave.catalog() })
        .collect()
}

/// Returns everything that slaves offer. `known`: input schemas of the directory before.
pub(super) fn offers<'a>(ready: &'a [Ready], precedence: &Precedence, known: &Schemas) -> Offers<'a> {
    let mut offers = Offers { list: Vec::new(), of: Vec::new(), schemas: Schemas::new() };
    for slave in ready {
        let (identity, rank) = (slave.grant.identity(), precedence.rank(slave.grant.identity()));
        let lists = ListKind::ALL.into_iter().map(|kind| (kind, slave.catalog.list(kind)));
        let entries =
            lists.flat_map(|(kind, list)| list.iter().enumerate().map(move |(at, entry)| (kind, at, entry)));
        for (list, position, entry) in entries {
            let kind = list.entry();
            let schema = match kind {
                // A URI is one resource inside of a domain, whatever is said of it.
                Kind::Resource | Kind::Template => Some(Schema::Absent),
                _ => entry.digest.map(|digest| {
                    let schema = || known.get(&digest).copied().unwrap_or_else(|| schema_of(kind, entry));
                    *offers.schemas.entry(digest).or_insert_with(schema)
                }),
            };
            let domain =
                if kind == Kind::Tool { slave.grant.pool_domain(&entry.name) } else { slave.domain() };
            offers.list.push(Offer {
                kind,
                name: &entry.name,
                identity,
                rank,
                domain,
                slave: &slave.slave.name,
                digest: entry.digest,
                schema,
                text: entry.definition.get(),
                position,
            });
            offers.of.push((&slave.slave, entry));
        }
    }
    offers
}

fn schema_of(kind: Kind, entry: &CatalogEntry) -> Schema {
    let member = if kind == Kind::Prompt { ARGUMENTS } else { INPUT_SCHEMA };
    canonical::schema_digest(&entry.definition, member).map_or(Schema::Absent, Schema::Digest)
}
