//! Entries of the section `limits:`: rate limits of clients, tools and slaves. Must not know how they are enforced.

use std::collections::BTreeMap;

use super::selector::Selector;
use super::text::TextMatch;
use crate::config::Rate;

/// Rate limits of the file. Each is one limit for each client, tool or slave that it applies to, not one for all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitRules {
    /// Limits by the client's name in `clients:`; the keys of one name share the limit.
    pub(crate) clients: BTreeMap<String, Rate>,
    /// Limit of each client without an entry of its own (`default`).
    pub(crate) other_clients: Option<Rate>,
    pub(super) tools: Vec<(TextMatch, Rate)>,
    pub(super) slaves: Vec<(SlaveMatch, Rate)>,
}

/// The slaves that one entry is for.
#[derive(Clone, Debug)]
pub(super) enum SlaveMatch {
    Name(TextMatch),
    Labels(Selector),
}

impl LimitRules {
    /// Limit of a slave with this name and these labels: that of the first entry that applies.
    pub(crate) fn of_slave(&self, name: &str, labels: &BTreeMap<String, String>) -> Option<Rate> {
        let applies = |slaves: &SlaveMatch| match slaves {
            SlaveMatch::Name(wanted) => wanted.matches(name),
            SlaveMatch::Labels(wanted) => wanted.selects(labels),
        };
        self.slaves.iter().find(|(slaves, _)| applies(slaves)).map(|(_, rate)| *rate)
    }

    /// Limit of a tool with these names (the clients' and the slaves'): that of the first entry that applies.
    pub(crate) fn of_tool(&self, names: [&str; 2]) -> Option<Rate> {
        let applies = |wanted: &TextMatch| names.iter().any(|name| wanted.matches(name));
        self.tools.iter().find(|(wanted, _)| applies(wanted)).map(|(_, rate)| *rate)
    }
}
