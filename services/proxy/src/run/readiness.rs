//! Readiness of the proxy: whether enough slaves can take calls. Must not know HTTP.

use std::sync::Arc;
use std::time::Instant;

use runtime::ops::Readiness;
use runtime::shutdown::Shutdown;

use crate::links::Registry;
use crate::slave_state::SlaveState;
use crate::start_window::StartWindow;

/// Returns the function that `/readyz` calls. `min_slaves` is `READY_MIN_SLAVES`; in the start window one slave is required in any
/// case.
pub(super) fn readiness(
    min_slaves: usize,
    start: StartWindow,
    registry: &Arc<Registry>,
    shutdown: &Shutdown,
) -> impl Fn() -> Readiness + use<> {
    let (registry, shutdown) = (Arc::clone(registry), shutdown.clone());
    move || {
        // Degraded slaves count, because they take the calls for which there is no better slave.
        let slaves = registry.ready_slaves();
        let readiness = if shutdown.is_announced() {
            Readiness::not_ready("shutting down")
        } else if slaves < min_slaves {
            Readiness::not_ready(reason(&registry, slaves, min_slaves))
        } else if let Some(end) = start.end(Instant::now()).filter(|_| slaves == 0) {
            let seconds = end.saturating_duration_since(Instant::now()).as_secs() + 1;
            Readiness::not_ready(format!(
                "no slave can take calls yet; ready with the first one, or in {seconds} s (START_WINDOW)"
            ))
        } else {
            Readiness::ready()
        };
        readiness.with("slaves", slaves as u64)
    }
}

/// Describes how many slaves are in each state. Names are left out, because `/readyz` requires no key.
fn reason(registry: &Registry, slaves: usize, min_slaves: usize) -> String {
    let known = registry.health_by_name();
    let count = |state| known.iter().filter(|(_, health)| health.state == state).count();
    let counts = SlaveState::ALL.map(|state| (count(state), state.label()));
    let present: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, label)| format!("{count} {label}"))
        .collect();
    let known = if present.is_empty() { "none is known".to_owned() } else { present.join(", ") };
    format!("{slaves} slaves can take calls ({known}), READY_MIN_SLAVES asks for {min_slaves}")
}
