//! The tools of the configuration that are commands, and their replacement when it changes. Must not know files.

use std::sync::Arc;

use super::registry::{BackendRegistry, NewBackend, RegistryEntry};
use crate::backends::commands::{self, CommandTool, Commands, ToolChanges};
use crate::backends::{BackendContext, Curation, Registration};

/// The tools that are commands, registered as one backend.
pub(super) struct CommandTools {
    backend: Arc<Commands>,
    registration: RegistryEntry,
}

impl CommandTools {
    /// Registers the tools and offers them.
    pub(super) fn start(
        registry: &Arc<BackendRegistry>,
        tools: Vec<Arc<CommandTool>>,
        context: &BackendContext,
    ) -> Self {
        let backend = Arc::new(Commands::new(tools, context));
        let id = registry.add(NewBackend {
            name: commands::NAME.into(),
            backend: Arc::clone(&backend) as _,
            history: None,
            curation: Curation::default(),
        });
        let registration = registry.registration(id);
        registration.ready(backend.report());
        Self { backend, registration }
    }

    /// Offers these tools in place of those before, except for those of the names in `kept`.
    pub(super) fn replace(&self, tools: Vec<Arc<CommandTool>>, kept: &[String]) -> ToolChanges {
        let changes = self.backend.set(tools, kept);
        self.registration.ready(self.backend.report());
        changes
    }
}
