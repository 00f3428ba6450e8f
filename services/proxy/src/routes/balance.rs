//! What the sections `pools:` and `limits:` say. Must not know what becomes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::selector::Selector;
use super::text::TextMatch;
use crate::limits::rate::Rate;

/// How the calls of some tools are shared out. The first rule that is for a tool counts.
#[derive(Clone, Debug)]
pub(crate) struct PoolRule {
    pub(crate) tool: TextMatch,
    /// Each client's calls stay with one slave.
    pub(crate) sticky: bool,
    pub(crate) queue_max: Option<usize>,
    pub(crate) queue_timeout: Option<Duration>,
    pub(super) weights: Vec<(Selector, u32)>,
}

impl PoolRule {
    /// In percent; `None`: what the slave says of itself.
    pub(crate) fn weight(&self, labels: &BTreeMap<String, String>) -> Option<u32> {
        self.weights.iter().find(|(selector, _)| selector.selects(labels)).map(|(_, weight)| *weight)
    }
}

/// How fast calls may come. Every limit is for each client, tool or slave that it is for, not for all together.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitRules {
    /// By the client's name in `clients:`: its keys share the limit.
    pub(crate) clients: BTreeMap<String, Rate>,
    /// `default`: of every other client.
    pub(crate) other_clients: Option<Rate>,
    pub(crate) tools: Vec<(TextMatch, Rate)>,
    pub(super) slaves: Vec<(Slaves, Rate)>,
}

/// Some slaves.
#[derive(Clone, Debug)]
pub(super) enum Slaves {
    Named(TextMatch),
    Labelled(Selector),
}

impl LimitRules {
    /// Of each slave with this name and these labels.
    pub(crate) fn of_slave(&self, name: &str, labels: &BTreeMap<String, String>) -> Option<Rate> {
        let is_for = |slaves: &Slaves| match slaves {
            Slaves::Named(wanted) => wanted.matches(name),
            Slaves::Labelled(wanted) => wanted.selects(labels),
        };
        self.slaves.iter().find(|(slaves, _)| is_for(slaves)).map(|(_, rate)| *rate)
    }

    /// Of a tool, by either of its names.
    pub(crate) fn of_tool(&self, names: [&str; 2]) -> Option<Rate> {
        let is_for = |wanted: &TextMatch| names.iter().any(|name| wanted.matches(name));
        self.tools.iter().find(|(wanted, _)| is_for(wanted)).map(|(_, rate)| *rate)
    }
}
