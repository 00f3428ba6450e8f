//! The first message of a handshake, and the memory of which one a command answers. Must not know sessions.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::mcp::era::Era;

use super::config::StdioServer;

/// Commands that are remembered.
const MAX_COMMANDS: usize = 1024;

/// The first message of a handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum EraProbe {
    /// `server/discover`; a child that does not survive it, or hangs on it, is started again at once.
    #[default]
    Discover,
    /// `initialize`, for a child that is known to be legacy, or that did not survive `server/discover`.
    Initialize,
    /// `server/discover`, for a child that did not answer `initialize` either: it is waited for.
    DiscoverSlowly,
}

impl EraProbe {
    /// Returns the first message of the next attempt, after a child that was never ready.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Discover | Self::DiscoverSlowly => Self::Initialize,
            Self::Initialize => Self::DiscoverSlowly,
        }
    }

    /// Returns the first message for a child that was ready and spoke this era.
    pub(super) fn of(era: Era) -> Self {
        if era == Era::Legacy { Self::Initialize } else { Self::DiscoverSlowly }
    }
}

/// A command with its arguments.
type Command = (String, Vec<String>);

/// The first message that each command answered, for as long as the slave runs. Cheap to clone; all clones are the same memory.
#[derive(Clone, Default)]
pub(crate) struct EraMemory(Arc<Mutex<HashMap<Command, EraProbe>>>);

impl EraMemory {
    /// Returns the first message for this server.
    pub(super) fn probe(&self, server: &StdioServer) -> EraProbe {
        self.0.lock().get(&command(server)).copied().unwrap_or_default()
    }

    /// Remembers the first message for this server.
    pub(super) fn set(&self, server: &StdioServer, probe: EraProbe) {
        let mut known = self.0.lock();
        let command = command(server);
        if known.len() < MAX_COMMANDS || known.contains_key(&command) {
            known.insert(command, probe);
        }
    }
}

fn command(server: &StdioServer) -> Command {
    match &server.remote {
        Some(remote) => (remote.url.to_string(), Vec::new()),
        None => (server.command.clone(), server.args.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_alternate_and_only_the_first_one_is_impatient() {
        let mut probe = EraProbe::default();
        let mut attempts = Vec::new();
        for _ in 0..5 {
            attempts.push(probe);
            probe = probe.next();
        }
        let (one, two) = (EraProbe::Initialize, EraProbe::DiscoverSlowly);
        assert_eq!(attempts, [EraProbe::Discover, one, two, one, two]);
    }

    #[test]
    fn the_first_message_is_remembered_by_command_and_arguments() {
        let server = |args: &str| StdioServer {
            name: "any".into(),
            command: "npx".into(),
            args: vec![args.into()],
            ..StdioServer::default()
        };
        let memory = EraMemory::default();
        memory.set(&server("a"), EraProbe::of(Era::Legacy));
        assert_eq!(memory.clone().probe(&server("a")), EraProbe::Initialize);
        assert_eq!(memory.probe(&server("b")), EraProbe::Discover);
    }
}
