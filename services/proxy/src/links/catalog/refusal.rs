//! Why a part of a catalog is left out. Must not know slaves.

use protocol::mcp::catalog::ListKind;

/// Why a list, or a part that was not read, is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::links) enum CatalogRefusal {
    /// With it, the catalogs of the code would have too many bytes.
    #[error("the catalogs of its code would have more than {0} bytes (limits.catalog_bytes)")]
    Bytes(usize),
    /// With it, the catalogs of the code would have too many entries of a kind.
    #[error("the catalogs of its code would have more than {limit} {} (limits.tools)", .kind.name())]
    Entries {
        /// Kind of the list.
        kind: ListKind,
        /// Entries allowed.
        limit: usize,
    },
    /// With it, all catalogs at this proxy would have too many bytes.
    #[error("all catalogs together would have more than {0} bytes (MAX_CATALOG_BYTES)")]
    Total(usize),
    /// A definition cannot be read.
    #[error("a definition cannot be read")]
    Unreadable,
}

impl CatalogRefusal {
    /// Returns the stable label of the metric.
    pub(in crate::links) fn kind(&self) -> &'static str {
        match self {
            Self::Bytes(_) => "bytes",
            Self::Entries { .. } => "entries",
            Self::Total(_) => "total",
            Self::Unreadable => "unreadable",
        }
    }
}
