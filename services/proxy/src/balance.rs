//! Load balancing between slaves: calls in flight, capacity, weights, outlier ejection. Must not know how a link carries frames.

pub(crate) mod load;
pub(crate) mod outliers;
