//! Load balancing between slaves: calls in flight, capacity, weights, outlier ejection. Must not know how a link carries
//! frames.

mod active_calls;
mod call_counter;
mod load;
pub(crate) mod outliers;

pub(crate) use active_calls::{ActiveCalls, Busy, CapacityListener, Permit};
