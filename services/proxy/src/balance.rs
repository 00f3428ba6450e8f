//! Load balancing between slaves: calls in flight, capacity, weights, outlier ejection. Must not know how a link carries
//! frames.

mod active_calls;
mod call_counter;
pub(crate) mod fault;
pub(crate) mod host;
mod load;
pub(crate) mod outliers;
pub(crate) mod pick;
pub(crate) mod pool;

pub(crate) use active_calls::{ActiveCalls, Busy, CapacityListener, Permit};
