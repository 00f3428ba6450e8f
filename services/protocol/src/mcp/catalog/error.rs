//! Why bytes are no part of a catalog. Must not know who sent them.

use super::limits::{MAX_BACKEND_NAME, MAX_BACKENDS, MAX_CATALOG};

/// Why bytes are not a catalog, or no part of one.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Longer than [`MAX_CATALOG`].
    #[error("catalog of {0} bytes, at most {MAX_CATALOG} allowed")]
    TooLong(usize),
    /// Not the JSON that docs/PROTOCOL.md describes.
    #[error("catalog is not of the expected form: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A name that MCP does not allow or that appears twice in its list.
    #[error("{list} has an unusable name {name:?}: {reason}")]
    BadName {
        /// List that has the entry.
        list: &'static str,
        /// Name, cut to 128 characters.
        name: String,
        /// Rule that the name breaks.
        reason: &'static str,
    },
    /// The backend's name is too long or has control characters.
    #[error("name of a backend has control characters or more than {MAX_BACKEND_NAME} bytes")]
    BadBackend,
    /// Neither a backend's part nor the slave's state, or both.
    #[error("part of a catalog has to have either \"backend\" or \"slave\"")]
    NoSubject,
    /// The slave has too many backends.
    #[error("more than {MAX_BACKENDS} backends")]
    TooManyBackends,
}
