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
mod server;

pub use entry::{CatalogEntry, ListKind, MAX_TOOL_NAME, check_name};
pub use error::CatalogError;
pub use hints::ListHints;
pub use limits::{MAX_BACKEND_NAME, MAX_BACKENDS, MAX_CATALOG, MAX_SERVER_FACTS};
pub use list::RawList;
pub use merged::{Catalog, CatalogServer};
pub use part::{
    BackendPart, CatalogPart, ListChange, SlaveState, WrittenBackend, WrittenList, backend_at_head,
    write_backend, write_gone, write_position, write_state,
};
pub use parts::{CatalogParts, HeldList, MergedCatalog};
pub use server::{CARRIES_EXTENSIONS, CARRIES_TASKS, ServerFacts};
