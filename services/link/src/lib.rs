//! The WebSocket transport of a link: connection, keep-alive and the driver that both ends run. Must not know calls.
//!
//! [`Connection`] implements RFC 6455 over any byte stream after the opening handshake, which [`accept`] and
//! [`connect`] run with tungstenite. [`LinkDriver`] drives a connection for a [`LinkEnd`], the state machine of this
//! end.

mod batch;
mod connection;
mod deadline;
mod decoder;
mod driver;
mod end;
mod error;
mod handshake;
mod head_stream;
mod keepalive;
mod mask;
mod message;
mod opening;
mod outgoing;
mod read_buffer;
mod signal;
mod sync;

pub use batch::{LastBatch, SHORT_MESSAGE, completed_messages, is_complete};
pub use connection::{CLOSE_TIMEOUT, Connection};
pub use driver::LinkDriver;
pub use end::LinkEnd;
pub use error::ConnectionError;
pub use handshake::{HandshakeError, HandshakeRequest, accept, connect, explain, upgraded};
pub use keepalive::KeepAliveConfig;
pub use message::{CloseFrame, Message, Role};
pub use opening::{OpeningFault, upgrade_response};
pub use outgoing::Outgoing;
pub use signal::Signal;
