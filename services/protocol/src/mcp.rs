//! MCP rules that both ends of a link follow: JSON-RPC envelope, eras and versions, failures, catalogs, results.
//!
//! Follows the Model Context Protocol specifications 2024-11-05 to 2026-07-28. Must not know links.

pub mod apps;
pub mod call_message;
pub mod canonical;
pub mod catalog;
pub mod depth;
pub mod entry_array;
pub mod envelope;
pub mod era;
pub mod failure;
pub mod json_text;
pub mod kind;
pub mod log_level;
pub mod members;
pub mod method;
pub(crate) mod object;
pub mod outline;
pub mod param_headers;
pub mod progress;
pub mod request_state;
pub mod result;
pub mod result_marks;
pub mod scan;
pub mod shown_name;
pub mod splice;
pub mod subscription;
pub mod task_id;
pub mod task_list;
pub mod trace_context;
pub mod uri_template;
