//! The HTTP side of the edge. Must not know what a method means.

mod accept;
pub(crate) mod audit;
mod batch;
mod call_response;
pub(crate) mod client_address;
mod context;
mod cors;
mod era;
mod framing;
pub(crate) mod guard;
mod header_value;
pub(crate) mod health;
mod listen;
mod message;
pub(crate) mod path;
mod post;
pub(crate) mod request_body;
pub(crate) mod response;
pub(crate) mod response_body;
pub(crate) mod response_stream;
mod revocation;
pub(crate) mod service;
mod session_end;
mod skip;
mod subscription;
