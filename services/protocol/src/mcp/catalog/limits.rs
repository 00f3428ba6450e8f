//! Limits of catalogs (docs/PROTOCOL.md, "Limits"). Must not know who enforces which.

/// Largest message with a part of a catalog, in bytes of JSON.
pub const MAX_CATALOG: usize = 16 * 1024 * 1024;

/// Largest `server` object of a backend, in bytes of JSON: instructions are texts for models, and some are long.
pub const MAX_SERVER_FACTS: usize = 64 * 1024;

/// Largest number of backends of one slave.
pub const MAX_BACKENDS: usize = 256;

/// Longest name of a backend, in bytes.
pub const MAX_BACKEND_NAME: usize = 64;
