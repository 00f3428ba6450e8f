//! Time limits of connections.

use std::time::Duration;

/// How long a client may take for a request's head, and how long an idle connection is kept.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a TLS handshake that is under way may take once the process drains.
pub(super) const DRAIN_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection that was accepted while the process drains may take for its request's head.
pub(super) const DRAIN_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last connections that were accepted while the process drains are waited for.
pub(super) const DRAIN_REPLY_TIMEOUT: Duration = Duration::from_secs(1);
