//! Readiness of the slave: whether a call, through a proxy or to its own port, would find a tool. Must not know HTTP.

use std::sync::Arc;

use runtime::ops::Readiness;
use runtime::shutdown::Shutdown;

use super::offer::ToolSources;
use crate::executor::{BackendSnapshot, BackendState, Executor};
use crate::link::Links;

/// Returns the function that `/readyz` calls. `links` is `None` for the standalone server.
pub(super) fn readiness(
    links: Option<Arc<Links>>,
    executor: Executor,
    sources: ToolSources,
    shutdown: &Shutdown,
) -> impl Fn() -> Readiness + use<> {
    let shutdown = shutdown.clone();
    let catalog = executor.catalog();
    move || {
        let up = links.as_ref().map(|links| links.endpoint.links());
        let tools = catalog.borrow().tools.len();
        let readiness = if shutdown.is_announced() {
            Readiness::not_ready("shutting down")
        } else {
            let link = links.as_ref().filter(|_| up == Some(0));
            let link = link.map(|links| format!("not linked to a proxy: {}", links.status.why()));
            let fault = match (tools, any_runs(&executor)) {
                (0, _) => Some("no tools are offered"),
                (_, false) => Some("no backend runs"),
                (_, true) => None,
            };
            let offer = fault.map(|fault| format!("{fault}: {}", sources.explain(&executor)));
            let reasons: Vec<String> = link.into_iter().chain(offer).collect();
            if reasons.is_empty() { Readiness::ready() } else { Readiness::not_ready(reasons.join("; ")) }
        };
        let readiness = readiness.with("tools", tools as u64);
        match up {
            Some(up) => readiness.with("links", up as u64),
            None => readiness,
        }
    }
}

/// Returns whether a backend runs that has tools: those of a backend that is started again stay listed.
fn any_runs(executor: &Executor) -> bool {
    let runs = |backend: &BackendSnapshot| backend.state == BackendState::Ready && !backend.tools.is_empty();
    executor.backend_states().iter().any(runs)
}
