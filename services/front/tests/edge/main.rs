//! The edge as a service over a fake implementation of `Calls`. Opens no sockets.

// The lint does not recognise functions that only tests call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod batch;
mod cancelled;
mod fake;
mod guard;
mod legacy;
mod listen;
mod modern;
mod plain;
mod recorder;
mod refusal;
mod sse_transport;
mod stream;
mod subscription;
