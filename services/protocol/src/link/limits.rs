//! Limits of the link (docs/PROTOCOL.md, "Limits"). Must not know who enforces which.

use std::time::Duration;

/// Largest payload of one frame, in bytes. A longer message goes as several frames (chunks). Seven eighths of the smallest window: the last
/// eighth is what a reader may have taken without giving credit for it.
pub const MAX_CHUNK: usize = 112 * 1024;

/// Payload of the frames of a message that is longer than one, in bytes: two of them fit the smallest window.
pub const LONG_MESSAGE_CHUNK: usize = 64 * 1024;

/// Largest WebSocket message that either side sends in the native dialect, in bytes: one or more whole frames.
pub const MAX_BATCH: usize = 256 * 1024;

/// Largest JSON call header in an `open`, in bytes. It must fit the first chunk.
pub const MAX_HEADER: usize = 16 * 1024;

/// Largest first message (`auth`) that a proxy reads from an unauthenticated peer, in bytes.
pub const MAX_AUTH: usize = 16 * 1024;

/// Smallest credit window a peer may announce, in bytes. With less, a reader that credits an eighth of the window at a time and a writer that
/// holds a whole chunk would wait for each other.
pub const MIN_WINDOW: u32 = 128 * 1024;

/// Largest number of unacknowledged chunks of one call and direction, however small they are.
pub const MAX_CHUNKS_UNDER_WAY: u64 = 4096;

/// Credit window that our own ends announce, in bytes: the smallest that the protocol allows. Twice as much made large results
/// little faster and the small calls beside them much slower (`mcp-relay-bench --only large`).
pub const DEFAULT_WINDOW: u32 = 128 * 1024;

/// Time for which calls outlive their link, unless the operator says otherwise: the slave detects a dead link within 5.5 s, dials
/// again within another 5 s (`RECONNECT_MAX`), and may be told to come again a second later (`Retry-After`).
pub const DEFAULT_GRACE: Duration = Duration::from_secs(12);

/// Limits that the operator sets, or that the peers agree on in the first messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// Largest payload of a frame, in bytes; at most [`MAX_CHUNK`].
    pub chunk: usize,
    /// Credit window of one call and direction, in bytes. At least a chunk and an eighth of the window.
    pub window: usize,
    /// Largest request of a client that a slave reassembles, in bytes.
    pub message: usize,
    /// Largest unacknowledged journal of a slave over all its calls, in bytes.
    pub journal: usize,
    /// Largest sum of incomplete messages of a slave over all its calls, in bytes.
    pub assembly: usize,
    /// Time for which a call outlives its link.
    pub grace: Duration,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            chunk: MAX_CHUNK,
            window: DEFAULT_WINDOW as usize,
            message: 64 * 1024 * 1024,
            journal: 256 * 1024 * 1024,
            assembly: 128 * 1024 * 1024,
            grace: DEFAULT_GRACE,
        }
    }
}
