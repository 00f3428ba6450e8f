//! Stdio MCP servers: child processes, shared by all clients or one for each, started, initialized in their era, supervised, and ended
//! with everything they started.
//!
//! Must not know links or HTTP. [`supervisor`] owns a child's lifetime, [`session`] its conversation.

mod attribution;
mod backend;
mod changed_lists;
mod child;
mod child_log_level;
mod client_requests;
mod config;
mod era_probe;
mod forward;
mod handshake;
mod health_check;
mod incoming;
mod line_fault;
mod lists;
mod log_readers;
mod message_sketch;
mod messages;
mod odd_lines;
mod pool;
mod process;
mod reader;
mod remote;
mod request;
mod request_table;
mod resource_updates;
mod results;
mod running;
mod session;
mod sharing;
mod slots;
mod stderr_log;
mod supervisor;
mod task_updates;
mod tasks;
mod write_queue;

pub(crate) use backend::StdioBackend;
pub use config::{StdioServer, StdioTiming};
pub(crate) use era_probe::EraMemory;
pub(crate) use pool::PooledBackend;
pub use sharing::{ChildOwner, ChildRules, Sharing};
pub(crate) use sharing::{DEFAULT_IDLE, DEFAULT_MOST};
pub(crate) use supervisor::Supervisor;
