//! Limits of how many and how fast calls may come: rates, rate limiters, and the bounds of the wait queues.

pub(crate) mod queue;
