//! MCP servers that are reached over HTTP: Streamable HTTP in both eras, and the transport of 2024-11-05 with its endpoint for events.
//!
//! Carries messages between a JSON-RPC session and the server. Must not know the session, nor calls: what arrives goes to an [`Inbox`].

mod config;
mod fault;
mod inbox;
mod legacy_events;
mod outgoing;
mod response;
mod state;
mod streamable;
mod upstream;

use tokio::sync::mpsc;

use crate::splice::Pieces;

pub use config::{HttpServer, HttpTransport};
pub(crate) use inbox::Inbox;
pub(crate) use upstream::{Upstream, UpstreamSettings};

/// Carries the messages until the server cannot be reached any more, and returns the reason. Dropping the future ends all exchanges.
pub(crate) async fn run(upstream: &std::sync::Arc<Upstream>, messages: mpsc::Receiver<Pieces>) -> String {
    match upstream.server.transport {
        HttpTransport::Streamable => streamable::run(upstream, messages).await,
        HttpTransport::Events => legacy_events::run(upstream, messages).await,
    }
}
