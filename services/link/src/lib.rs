//! The WebSocket under a link: connection, keep-alive and the one driver that both ends run. Must not know calls.
