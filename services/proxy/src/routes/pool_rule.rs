//! Entries of the section `pools:`: how the calls of some tools are balanced. Must not know how that is done.

use std::collections::BTreeMap;
use std::time::Duration;

use super::selector::Selector;
use super::text::TextMatch;

/// Balancing options of the tools that match; the first entry that applies to a tool counts.
#[derive(Clone, Debug)]
pub(crate) struct PoolRule {
    pub(super) tool: TextMatch,
    /// Whether each client's calls stay with one slave.
    pub(crate) sticky: bool,
    pub(crate) queue_max: Option<usize>,
    pub(crate) queue_timeout: Option<Duration>,
    pub(super) weights: Vec<(Selector, u32)>,
}

impl PoolRule {
    /// Whether the entry applies to a tool with these names (the clients' and the slaves').
    pub(crate) fn applies_to(&self, names: [&str; 2]) -> bool {
        names.iter().any(|name| self.tool.matches(name))
    }

    /// Weight in percent of a slave with these labels; `None`: the weight that the slave announced.
    pub(crate) fn weight(&self, labels: &BTreeMap<String, String>) -> Option<u32> {
        self.weights.iter().find(|(selector, _)| selector.selects(labels)).map(|(_, weight)| *weight)
    }
}
