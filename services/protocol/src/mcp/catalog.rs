//! Catalog: what a slave offers, each definition as the backend wrote it (docs/PROTOCOL.md, "Catalog, names, owners"). Must not
//! know pools or collisions of names.

mod entry;
mod error;
mod hints;
mod limits;
mod list;
mod merged;
mod part;
mod parts;

pub use entry::{CatalogEntry, ListKind, MAX_TOOL_NAME, check_name};
pub use error::CatalogError;
pub use hints::ListHints;
pub use limits::{MAX_BACKEND_NAME, MAX_BACKENDS, MAX_CATALOG};
pub use list::RawList;
pub use merged::Catalog;
pub use part::{
    BackendPart, CatalogPart, ListChange, SlaveState, WrittenLists, backend_at_head, write_backend,
    write_gone, write_position, write_state,
};
pub use parts::{CatalogParts, HeldList, MergedCatalog};
