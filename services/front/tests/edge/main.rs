//! The edge as a service over a fake implementation of `Calls`. Opens no sockets.

// Helpers of tests are not seen as tests by the lint.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod batch;
mod fake;
mod guard;
mod legacy;
mod listen;
mod modern;
mod plain;
mod refusal;
mod stream;
