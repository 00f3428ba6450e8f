//! What the slave sent for calls whose clients may leave and come back (docs/PROTOCOL.md, "Retention"): events and end, for a time and
//! within a size, also after the end. A client that comes back goes on exactly behind the last event that it has.
//!
//! Apart from the journals of links: those know what a proxy has taken, not what has arrived at a client. Must not know links or HTTP.

mod replay;
mod retained_call;
mod store;
#[cfg(test)]
mod tests;
mod totals;

pub(crate) use retained_call::RetainedCall;
pub(crate) use store::Retention;
pub use store::RetentionLimits;
