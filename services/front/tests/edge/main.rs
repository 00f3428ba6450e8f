//! The edge driven as a service, over a stand-in for what takes calls. Opens no sockets.

mod batch;
mod fake;
mod guard;
mod legacy;
mod listen;
mod modern;
mod plain;
mod refusal;
mod stream;
