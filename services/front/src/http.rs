//! The HTTP side of the edge. Must not know what a method means.

mod accept;
pub(crate) mod audit;
mod batch;
pub(crate) mod body;
mod cors;
mod era;
pub(crate) mod guard;
mod listen;
mod open;
mod post;
pub(crate) mod read;
pub(crate) mod reply;
pub(crate) mod service;
mod stream;
mod value;
