//! The tools that are commands as one [`Backend`], and their replacement when the file changes. Must not know files.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use protocol::mcp::failure::Failure;
use serde_json::value::RawValue;

use super::run::LoadedTool;
use super::tool::CommandTool;
use crate::backends::context::BackendContext;
use crate::backends::registration::BackendReport;
use crate::call::{Answer, Backend, Exchange, Request};

/// What the backend says of itself.
const CAPABILITIES: &str = r#"{"tools":{"listChanged":true}}"#;

/// The numbers of tools that a reload added, changed, removed and left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolChanges {
    /// Tools with new names.
    pub added: usize,
    /// Tools that are described in another way.
    pub changed: usize,
    /// Tools that the file has no more.
    pub removed: usize,
    /// Tools that were not touched.
    pub unchanged: usize,
}

impl fmt::Display for ToolChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, changed, removed, unchanged } = self;
        write!(f, "{added} added, {changed} changed, {removed} removed, {unchanged} unchanged")
    }
}

/// All tools that are commands.
pub(crate) struct Commands {
    tools: ArcSwap<Vec<Arc<LoadedTool>>>,
    context: BackendContext,
}

impl Commands {
    /// Returns the backend of these tools.
    pub(crate) fn new(tools: Vec<Arc<CommandTool>>, context: &BackendContext) -> Self {
        let loaded = tools.into_iter().map(|tool| Arc::new(LoadedTool::new(tool, context))).collect();
        Self { tools: ArcSwap::from_pointee(loaded), context: context.clone() }
    }

    /// Runs these tools in place of those before, except for those of the names in `kept`. Calls that run go on as they began.
    pub(crate) fn set(&self, tools: Vec<Arc<CommandTool>>, kept: &[String]) -> ToolChanges {
        let before = self.tools.load_full();
        let mut changes = ToolChanges::default();
        let mut after: Vec<Arc<LoadedTool>> = Vec::with_capacity(tools.len());
        for tool in tools {
            let known = before.iter().find(|known| known.tool.name == tool.name);
            after.push(match known {
                // Its limit counts the calls that run.
                Some(known) if known.tool.is_same(&tool) => {
                    changes.unchanged += 1;
                    Arc::clone(known)
                }
                _ => {
                    let counted = if known.is_some() { &mut changes.changed } else { &mut changes.added };
                    *counted += 1;
                    Arc::new(LoadedTool::new(tool, &self.context))
                }
            });
        }
        for gone in before.iter() {
            let name = &gone.tool.name;
            if after.iter().any(|tool| tool.tool.name == *name) {
                continue;
            }
            if kept.contains(name) {
                changes.unchanged += 1;
                tracing::warn!(tool = name, "tool stays as before: its new description cannot be used");
                after.push(Arc::clone(gone));
            } else {
                changes.removed += 1;
            }
        }
        self.tools.store(Arc::new(after));
        changes
    }

    /// Returns what is offered.
    pub(crate) fn report(&self) -> BackendReport {
        let tools = self.tools.load();
        let mut report = BackendReport::of_tools(tools.iter().map(|tool| tool.tool.entry.clone()).collect());
        report.facts.capabilities = RawValue::from_string(CAPABILITIES.to_owned()).ok();
        report
    }
}

impl Backend for Commands {
    fn call<'a>(
        &'a self,
        tool: &'a str,
        request: Request,
        exchange: &'a mut Exchange,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            let found = self.tools.load().iter().find(|known| known.tool.name == tool).map(Arc::clone);
            let found = found.ok_or_else(|| Failure::UnknownTool(tool.to_owned()))?;
            tokio::select! {
                answer = found.call(&request, exchange) => answer,
                () = self.context.shutdown.wait() => Err(Failure::Draining),
            }
        })
    }
}
