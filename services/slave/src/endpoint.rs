//! The slave's end of all its links: the journals of its calls, the calls that run, and the proxies that are known.
//!
//! Any link may carry any call, so all links share one state; sections under its lock are short and never wait. Must not
//! know sockets or the executor: links feed frames in, take frames out and are woken when there is something to send.

mod call_table;
mod events;
mod expiry;
mod grant_facts;
mod known_grant_facts;
mod known_proxies;
mod links;
mod proven_proxy;
mod proxies;
mod run_together;
mod shutdown;
mod sink;
mod stage;
mod state;
mod state_labels;

pub(crate) use known_proxies::PeerDiscovery;
pub(crate) use proven_proxy::ProvenProxy;
pub(crate) use stage::Stage;
pub(crate) use state::Endpoint;
