//! The runtime of every service: environment, secrets, logs, metrics, traces, operators' endpoints, TLS and shutdown.
//!
//! Must know neither MCP nor the link protocol: services bring their own variables, metrics and readiness.

pub mod activity;
pub mod admission;
pub mod audit;
pub mod build_info;
pub mod call_lines;
pub mod config;
pub mod descriptors;
pub mod document;
pub mod env;
pub mod follow;
pub mod glob;
pub mod http_client;
pub mod io_fault;
pub mod keys;
pub mod listen;
pub mod locality;
pub mod metrics;
pub mod moment;
pub mod ops;
pub mod outbound;
pub mod printable;
pub mod repeats;
pub mod secret;
pub mod service_manager;
pub mod shutdown;
pub mod start;
pub mod telemetry;
pub mod tls;
pub mod tokens;
pub mod traces;
pub mod trusted;
