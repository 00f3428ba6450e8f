//! Reports of slaves' health: log lines, metrics, snapshots. Must not know links or sockets.

use std::time::Instant;

use super::health::{HealthChange, HealthSnapshot};
use super::registry::Registry;
use super::slave::Slave;
use crate::balance::outliers::{Outcome, Transition};
use crate::metrics::{self, LinkUsage};
use crate::slave_state::SlaveState;

impl Registry {
    /// Returns the number of slaves that accept calls and offer a tool.
    pub(crate) fn ready_slaves(&self) -> usize {
        self.lock().values().filter(|slave| slave.health.is_ready()).count()
    }

    /// Returns name and health of all slaves, in stable order.
    pub(crate) fn health_by_name(&self) -> Vec<(String, HealthSnapshot)> {
        self.lock().values().map(|slave| (slave.name.clone(), slave.health_snapshot())).collect()
    }

    /// Returns name, calls in flight and buffered bytes of all slaves.
    pub(crate) fn buffered_bytes(&self) -> Vec<(String, LinkUsage)> {
        self.all().iter().map(|slave| (slave.name.clone(), slave.buffered_bytes())).collect()
    }

    /// Records what a call, or the end of a link, says of the slave itself.
    pub(crate) fn record_outcome(&self, slave: &Slave, outcome: Outcome) {
        let transition = self.outliers.record_outcome(slave.host_slot(), outcome, Instant::now);
        match transition {
            None => return,
            Some(Transition::Ejected { time, failures, last }) => {
                metrics::record_ejection(&slave.name, last);
                let seconds = time.as_secs_f64();
                slave.health.set_ejected(format!(
                    "it gets no calls for {seconds:.1} s: {failures} failed in a row, the last with {last}"
                ));
            }
            Some(Transition::Readmitted) => slave.health.set_ejected(String::new()),
        }
        self.publish_health(slave);
    }

    /// Publishes that the slave offers something else, or accepts no calls any more.
    pub(super) fn publish_change(&self, slave: &Slave) {
        self.publish_health(slave);
        self.changed.notify_one();
    }

    /// Publishes the slave's health: exports the states, and logs a change once.
    pub(super) fn publish_health(&self, slave: &Slave) {
        self.export_states(&slave.name);
        let Some(HealthChange { now, before, lasted }) = slave.health.take_change() else { return };
        let name = slave.name.as_str();
        match now.state {
            SlaveState::Ready if before == SlaveState::Degraded => {
                tracing::info!(slave = name, "Slave is ready again, after {:.1} s", lasted.as_secs_f64());
            }
            SlaveState::Ready => tracing::info!(slave = name, "Slave is ready"),
            SlaveState::Degraded => tracing::warn!(slave = name, "Slave is degraded: {}", now.reason),
            SlaveState::Connecting if before != SlaveState::Lost => {
                tracing::warn!(slave = name, "Slave can take no calls: {}", now.reason);
            }
            // Logged above debug level where they come from.
            SlaveState::Connecting | SlaveState::Draining | SlaveState::Lost => {
                tracing::debug!(slave = name, "Slave is {}: {}", now.state.label(), now.reason);
            }
        }
    }

    /// Exports the number of slaves in each state. Slaves may share a name (replicas of one deployment).
    pub(super) fn export_states(&self, name: &str) {
        let mut counts = [0_u32; SlaveState::ALL.len()];
        for slave in self.lock().values().filter(|slave| slave.name == name) {
            counts[slave.state() as usize] += 1;
        }
        metrics::set_slave_states(name, counts);
    }
}
