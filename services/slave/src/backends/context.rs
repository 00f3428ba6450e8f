//! Settings and services that all backends share. Must not know any backend.

use std::time::Duration;

use runtime::outbound::OutboundRules;
use runtime::secret::Secret;

use super::environment;
use super::history::LogCapture;
use super::redactor::Redactor;
use super::shutdown::ShutdownGroup;
use crate::client_streams::ClientStreams;
use crate::identity_tokens::IdentityTokens;
use crate::launcher::Launcher;

/// Settings and services that all backends share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BackendContext {
    /// The signal that the slave stops, and the tasks that it waits for then.
    pub(crate) shutdown: ShutdownGroup,
    /// Replaces the slave's own secrets, and those that every backend inherits, in what backends write.
    pub(super) redactor: Redactor,
    /// Bytes of one message or report of a backend.
    pub(super) max_output: usize,
    /// Time between two health checks; `None`: backends are not checked.
    pub(super) check_interval: Option<Duration>,
    /// Whether the last lines of standard error are kept.
    pub(super) log_capture: LogCapture,
    /// The program that starts processes.
    pub(super) launcher: Launcher,
    /// The forward proxies on the way to HTTP servers.
    pub(super) ways: OutboundRules,
    /// Signs tokens that tell HTTP servers who the client of a request is.
    pub(super) tokens: Option<IdentityTokens>,
    /// The ways to clients beside calls in flight.
    pub(super) streams: ClientStreams,
}

impl BackendContext {
    /// Returns the context of a slave whose own secrets are these.
    pub(crate) fn new(
        secrets: &[Secret],
        max_output: usize,
        check_interval: Option<Duration>,
        log_capture: LogCapture,
    ) -> Self {
        let inherited = environment::secrets();
        let redactor = Redactor::new(secrets.iter().chain(&inherited));
        let shutdown = ShutdownGroup::default();
        Self {
            shutdown,
            redactor,
            max_output,
            check_interval,
            log_capture,
            launcher: Launcher::Absent,
            ways: OutboundRules::default(),
            tokens: None,
            streams: ClientStreams::default(),
        }
    }

    /// Returns whether processes are started by a launcher.
    pub(crate) fn is_launched(&self) -> bool {
        self.launcher != Launcher::Absent
    }

    /// Starts processes through this launcher.
    pub(crate) fn with_launcher(self, launcher: Launcher) -> Self {
        Self { launcher, ..self }
    }

    /// Reaches HTTP servers by these ways.
    pub(crate) fn with_ways(self, ways: OutboundRules) -> Self {
        Self { ways, ..self }
    }

    /// Reaches clients by these streams.
    pub(crate) fn with_streams(self, streams: ClientStreams) -> Self {
        Self { streams, ..self }
    }

    /// Tells HTTP servers that ask for it who the client of a request is, by these tokens.
    pub(crate) fn with_identity_tokens(self, tokens: Option<IdentityTokens>) -> Self {
        Self { tokens, ..self }
    }
}
