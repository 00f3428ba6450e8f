//! `OutboundRules` out: whether a connection to a server goes there directly or through a forward proxy, and the tunnel through one
//! (RFC 9110, 9.3.6). Must not know what is sent, nor why.
//!
//! [`OutboundRules`] holds what the variables say and decides for each server; [`ForwardProxy`] opens the tunnels. Credentials of proxies
//! are in no text of this module.

mod answer;
mod fault;
mod forward_proxy;
mod no_proxy;
mod proxy_url;
mod ways;

pub use fault::{WayFault, WayFaultKind};
pub use forward_proxy::ForwardProxy;
pub use no_proxy::NoProxy;
pub use proxy_url::ProxyUrlError;
pub use ways::{Channel, Choice, OutboundRules, UnusableProxy, Way};
