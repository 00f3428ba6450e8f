//! Readiness of the slave: whether a call, through a proxy or to its own port, would find a tool. Must not know HTTP.

use std::sync::Arc;

use runtime::ops::Readiness;
use runtime::shutdown::Shutdown;

use crate::executor::{BackendSnapshot, BackendState, Executor};
use crate::link::Links;

/// Returns the function that `/readyz` calls. `links` is `None` for the standalone server.
pub(super) fn readiness(
    links: Option<Arc<Links>>,
    executor: Executor,
    shutdown: &Shutdown,
) -> impl Fn() -> Readiness + use<> {
    let shutdown = shutdown.clone();
    let catalog = executor.catalog();
    move || {
        let up = links.as_ref().map(|links| links.endpoint.links());
        let tools = catalog.borrow().tools.len();
        let readiness = match (&links, up) {
            _ if shutdown.is_announced() => Readiness::not_ready("shutting down"),
            (Some(links), Some(0)) => {
                Readiness::not_ready(format!("not linked to a proxy: {}", links.status.why()))
            }
            _ if tools == 0 => Readiness::not_ready(format!("no tools are offered{}", reason(&executor))),
            _ if !any_runs(&executor) => {
                Readiness::not_ready(format!("no backend runs{}", reason(&executor)))
            }
            _ => Readiness::ready(),
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

/// Says why no backend offers a tool. Names are left out: `/readyz` asks for no key.
fn reason(executor: &Executor) -> &'static str {
    let states = executor.backend_states();
    let any = |wanted: fn(&BackendState) -> bool| states.iter().any(|backend| wanted(&backend.state));
    if states.is_empty() {
        ": no backend is configured"
    } else if any(|state| *state == BackendState::Starting) {
        ": backends are starting"
    } else if any(|state| matches!(state, BackendState::Restarting { .. } | BackendState::Failed { .. })) {
        ": backends failed, see the log"
    } else {
        ""
    }
}
