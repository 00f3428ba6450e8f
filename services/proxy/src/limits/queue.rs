//! Bounds of the settings of wait queues, for environment variables and the `ROUTES` file alike.

/// Largest number of calls of one tool that may be allowed to wait.
pub(crate) const MAX_QUEUE_LENGTH: usize = 1_000_000;

/// Longest time that a call may be allowed to wait, in seconds.
pub(crate) const MAX_QUEUE_TIMEOUT: f64 = 3600.0;
