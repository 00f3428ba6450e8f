//! The backends that run calls, each kind in a file or folder of its own. Must not know the registry, nor the readers of
//! calls.

mod arguments;
pub mod commands;
mod context;
mod curation;
pub(crate) mod demo;
pub mod environment;
mod executable;
pub mod history;
mod line_reader;
pub mod mcp_http;
pub mod pilot;
mod process_group;
mod redactor;
mod registration;
pub mod servers_file;
mod shutdown;
pub mod stdio;
mod variables;

pub(crate) use context::BackendContext;
pub(crate) use curation::Curated;
pub use curation::Curation;
pub use registration::BackendState;
pub(crate) use registration::{BackendReport, Registration};
pub(crate) use shutdown::{ShutdownGroup, ShutdownGuard};
