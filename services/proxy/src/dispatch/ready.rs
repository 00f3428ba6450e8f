//! The slaves that take calls, with their grants and catalogs at one moment, and what they offer. Must not know pools.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::mcp::canonical::{self, DefinitionDigest};
use protocol::mcp::catalog::{Catalog, CatalogEntry, ListHints, ListKind};
use protocol::mcp::kind::Kind;

use super::offer::{Offer, Schema};
use crate::access::{Grant, Precedence};
use crate::links::Slave;

/// Member of a definition by which the tools of one name are told apart.
const INPUT_SCHEMA: &str = "inputSchema";

/// Input schemas by the digests of their definitions, so that each definition is hashed once.
pub(super) type Schemas = HashMap<DefinitionDigest, Schema>;

/// A slave that takes calls.
pub(super) struct Ready {
    slave: Arc<Slave>,
    grant: Arc<Grant>,
    catalog: Arc<Catalog>,
}

impl Ready {
    /// Returns the slave's hints for caches of its tools' lists.
    pub(super) fn hints(&self) -> ListHints {
        self.catalog.hints[ListKind::Tools as usize]
    }
}

/// All offers with the slaves and definitions that they stand for.
pub(super) struct Offers<'a> {
    pub(super) list: Vec<Offer<'a>>,
    /// Slave and definition of each offer.
    pub(super) of: Vec<(&'a Arc<Slave>, &'a CatalogEntry)>,
    pub(super) schemas: Schemas,
}

/// Returns the slaves that take calls.
pub(super) fn ready(slaves: &[Arc<Slave>]) -> Vec<Ready> {
    let ready = slaves.iter().filter(|slave| slave.accepts_calls());
    ready
        .map(|slave| Ready { slave: Arc::clone(slave), grant: slave.grant(), catalog: slave.catalog() })
        .collect()
}

/// Returns everything that slaves offer. `known`: input schemas of the directory before.
pub(super) fn offers<'a>(ready: &'a [Ready], precedence: &Precedence, known: &Schemas) -> Offers<'a> {
    let mut offers = Offers { list: Vec::new(), of: Vec::new(), schemas: Schemas::new() };
    for slave in ready {
        let (identity, rank) = (slave.grant.identity(), precedence.rank(slave.grant.identity()));
        for (position, entry) in slave.catalog.tools.iter().enumerate() {
            let schema = entry.digest.map(|digest| {
                let schema = || known.get(&digest).copied().unwrap_or_else(|| input_schema(entry));
                *offers.schemas.entry(digest).or_insert_with(schema)
            });
            offers.list.push(Offer {
                kind: Kind::Tool,
                name: &entry.name,
                identity,
                rank,
                domain: slave.grant.pool_domain(&entry.name),
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

fn input_schema(entry: &CatalogEntry) -> Schema {
    canonical::schema_digest(&entry.definition, INPUT_SCHEMA).map_or(Schema::Absent, Schema::Digest)
}
