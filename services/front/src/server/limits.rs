//! Limits of connections that no variable sets.

use std::time::Duration;

/// How long a client may take for a request's head, counted from its first byte, or from the begin of a connection; as
/// long again for the TLS handshake.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection without a request is kept after its last response: longer than load balancers keep theirs as a
/// rule, so that it is they who close.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

/// Largest head of a request, in bytes. hyper allows 100 headers.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// The most of a response that waits in a connection before its source is asked for no more, in bytes: two chunks of a large result pass in
/// one system call. The most that hyper reads of a head, too.
pub(super) const MAX_BUFFERED: usize = 128 * 1024;

/// The limits of a head, in words.
pub(super) const HEAD_LIMIT: &str = "at most 64 KiB and 100 headers are read";

/// Most connections to a port of operators at once.
pub(super) const MAX_OPS_CONNECTIONS: usize = 256;

/// Most connections to the clients' port at once beyond the limits of clients, where some may be for an upgrade: their first request
/// decides. A network may have an eighth of them.
pub(super) const MAX_BEYOND: usize = 256;

/// Most refusals of connections that are written at once.
pub(super) const MAX_REFUSALS: usize = 64;

/// How long a TLS handshake that is under way may take once the process drains.
pub(super) const DRAIN_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection that was accepted while the process drains may take for its request's head.
pub(super) const DRAIN_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last connections that were accepted while the process drains are waited for.
pub(super) const DRAIN_REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// How long beyond `REQUEST_TIMEOUT_TOTAL` a client may take to begin reading the failure that the call got then.
pub(super) const TOTAL_GRACE: Duration = Duration::from_secs(2);

/// How long a client that was not answered may take to be told why its connection ends.
pub(super) const PARTING_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection that was closed towards the client is read on, where something of a request was not read: the
/// system resets a connection that is closed with something unread, and the client would lose the response.
pub(super) const LINGER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long such a connection may be silent.
pub(super) const LINGER_IDLE: Duration = Duration::from_secs(2);

/// Most bytes that are read of such a connection, and dropped: as many as the largest `MAX_BODY_BYTES`, and a head.
pub(super) const LINGER_BYTES: usize = 65 * 1024 * 1024;
