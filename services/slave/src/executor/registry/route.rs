//! The routes from names of the catalog to backends. Must not know when they change.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::mcp::catalog::CatalogEntry;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::list::RegisteredBackend;
use super::names::NamedTool;
use crate::call::Backend;
use crate::executor::param_headers::ParamHeaders;
use crate::metrics::ToolMeter;

/// The route to one offered tool.
pub(in crate::executor) struct Route {
    /// The backend that runs the tool.
    pub(in crate::executor) backend: Arc<dyn Backend>,
    /// The backend's name.
    pub(in crate::executor) owner: String,
    /// The backend's own name of the tool.
    pub(in crate::executor) tool: String,
    /// Arguments that a modern client repeats in headers.
    pub(in crate::executor) param_headers: ParamHeaders,
    /// The tool's metrics.
    pub(in crate::executor) meters: Arc<ToolMeter>,
    /// Keeps the backend running as long as the route is held.
    _user: TaskTrackerToken,
}

/// The entry of one name.
pub(super) enum RouteEntry {
    /// The backend is ready, or is started again: then it lets the call wait.
    Up(Arc<Route>),
    /// The backend of this name had the tool and cannot run.
    Down { backend: String },
}

/// Returns the routes of all named tools, and for each backend the catalog entries of those that are offered. Metrics of tools that stay
/// with their backend are taken from the routes `before`.
pub(super) fn build(
    backends: &[RegisteredBackend],
    named: Vec<NamedTool>,
    before: &HashMap<String, RouteEntry>,
) -> (HashMap<String, RouteEntry>, Vec<Vec<Arc<CatalogEntry>>>) {
    let mut routes = HashMap::with_capacity(named.len());
    let mut tools = vec![Vec::new(); backends.len()];
    for tool in named {
        let Some(backend) = backends.get(tool.backend) else { continue };
        if !backend.is_listed() {
            routes.insert(tool.name, RouteEntry::Down { backend: backend.name.clone() });
            continue;
        }
        let meters = match before.get(&tool.name) {
            Some(RouteEntry::Up(route)) if route.meters.is_of(&backend.name) => Arc::clone(&route.meters),
            _ => Arc::new(ToolMeter::new(&tool.name, &backend.name)),
        };
        let route = Route {
            backend: Arc::clone(&backend.backend),
            owner: backend.name.clone(),
            tool: tool.own_name,
            param_headers: ParamHeaders::parse(&tool.name, &tool.definition),
            meters,
            _user: backend.users.token(),
        };
        routes.insert(tool.name.clone(), RouteEntry::Up(Arc::new(route)));
        tools[tool.backend].push(Arc::new(CatalogEntry::new(tool.name, tool.definition)));
    }
    (routes, tools)
}
