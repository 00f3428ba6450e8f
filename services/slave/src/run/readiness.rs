//! Readiness of the slave: whether a call, through a proxy or to its own port, would find a tool. Must not know HTTP.

use std::sync::Arc;

use runtime::ops::Readiness;
use runtime::shutdown::Shutdown;

use super::offer::ToolSources;
use crate::executor::Executor;
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
            let offer = (tools == 0).then(|| format!("no tools are offered: {}", sources.explain(&executor)));
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
