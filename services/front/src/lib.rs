//! The MCP-over-HTTP edge, both eras on one endpoint, generic over something that takes calls.
//!
//! Knows HTTP and MCP's rules; must not know links, slaves or backends.

pub mod calls;
