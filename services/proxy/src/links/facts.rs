//! What a slave is by the code it presented: its identity, labels and allowed tools. Replaced as a whole when the codes
//! change, while the link stays up. Must not know the link.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use protocol::mcp::catalog::Catalog;

use crate::access::{CodeDigest, Grant, LabelRefused};

/// One state of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The code that was presented.
    pub(super) code: CodeDigest,
    /// What it allows.
    pub(super) grant: Arc<Grant>,
    /// Labels as the slave said them.
    said: BTreeMap<String, String>,
    /// Labels that hold.
    pub(crate) labels: BTreeMap<String, String>,
}

impl Facts {
    /// Of a slave that says it has the labels `said`.
    pub(super) fn new(
        (code, grant): (CodeDigest, Arc<Grant>),
        said: BTreeMap<String, String>,
    ) -> Result<Self, LabelRefused> {
        let labels = grant.labels(&said)?;
        Ok(Self { code, grant, said, labels })
    }

    /// The same slave, its code allowing something else now.
    pub(super) fn renewed(&self, grant: Arc<Grant>) -> Result<Self, LabelRefused> {
        Self::new((self.code, grant), self.said.clone())
    }

    /// The name that the code gives its holder.
    pub(crate) fn identity(&self) -> Option<&str> {
        self.grant.name()
    }

    /// For logs: `-` where the code has no name.
    pub(super) fn identity_or_dash(&self) -> &str {
        self.identity().unwrap_or("-")
    }
}

/// Facts and catalog of a slave, which depend on each other.
#[derive(Default)]
pub(super) struct Standing {
    facts: ArcSwap<Facts>,
    /// What is offered to clients.
    catalog: ArcSwap<Catalog>,
    /// What the slave would offer. The lock also puts changes of facts and of catalogs into one order.
    offered: Mutex<Arc<Catalog>>,
}

impl Standing {
    pub(super) fn facts(&self) -> Arc<Facts> {
        self.facts.load_full()
    }

    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Other facts hold. Gives the names of tools that are left out because of them.
    pub(super) fn become_known(&self, facts: Facts) -> Vec<String> {
        self.facts.store(Arc::new(facts));
        self.change(|_| ())
    }

    /// The slave offers something else. Gives the names of tools that are left out.
    pub(super) fn offer(&self, catalog: Catalog) -> Vec<String> {
        self.change(|offered| *offered = Arc::new(catalog))
    }

    fn change(&self, change: impl FnOnce(&mut Arc<Catalog>)) -> Vec<String> {
        let mut offered = self.offered.lock();
        change(&mut offered);
        let grant = &self.facts.load().grant;
        let left_out: Vec<String> = offered
            .tools
            .iter()
            .filter(|tool| !grant.allows_tool(&tool.name))
            .map(|tool| tool.name.clone())
            .collect();
        if left_out.is_empty() {
            self.catalog.store(Arc::clone(&offered));
        } else {
            let mut allowed = Catalog::clone(&offered);
            allowed.tools.retain(|tool| grant.allows_tool(&tool.name));
            self.catalog.store(Arc::new(allowed));
        }
        left_out
    }
}

#[cfg(test)]
mod tests {
    use protocol::mcp::catalog::Catalog;

    use super::*;
    use crate::access::{Codes, CodesFile};

    fn facts(yaml: &str) -> Facts {
        let codes =
            Codes::new(&runtime::secret::SecretSet::default(), Some(&CodesFile::parse(yaml).unwrap()));
        Facts::new(codes.find("a", time::OffsetDateTime::now_utc()).unwrap(), BTreeMap::new()).unwrap()
    }

    #[test]
    fn tools_follow_facts_and_facts_follow_the_code() {
        let standing = Standing::default();
        let names = || standing.catalog().tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>();
        assert!(standing.become_known(facts("- {code: a, name: x, tools: [one]}")).is_empty());
        let catalog = Catalog::decode(br#"{"tools":[{"name":"one"},{"name":"two"}]}"#).unwrap();
        assert_eq!(standing.offer(catalog), ["two"]);
        assert_eq!((names(), standing.facts().identity()), (vec!["one".to_owned()], Some("x")));
        assert!(standing.become_known(facts("- {code: a, labels: {set: {p: q}}}")).is_empty());
        assert_eq!((names().len(), standing.facts().labels["p"].as_str()), (2, "q"));
    }
}
