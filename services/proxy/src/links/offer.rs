//! The effective offer of a slave: its catalog, reduced to the tools that its grant allows. Must not know links.

use parking_lot::Mutex;
use std::sync::Arc;

use arc_swap::ArcSwap;
use protocol::mcp::catalog::Catalog;

use crate::access::Grant;

/// Grant and catalog of a slave. Each change of either computes the offer anew; reading takes no lock.
#[derive(Default)]
pub(super) struct EffectiveOffer {
    grant: ArcSwap<Grant>,
    /// The catalog that clients see.
    effective: ArcSwap<Catalog>,
    /// The catalog as the slave sent it. The lock also orders changes of grant and catalog.
    announced: Mutex<Arc<Catalog>>,
}

impl EffectiveOffer {
    pub(super) fn grant(&self) -> Arc<Grant> {
        self.grant.load_full()
    }

    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.effective.load_full()
    }

    /// Sets the grant, and returns the names of the tools that it leaves out.
    pub(super) fn set_grant(&self, grant: Grant) -> Vec<String> {
        self.grant.store(Arc::new(grant));
        self.update(|_| ())
    }

    /// Sets the slave's catalog, and returns the names of the tools that the grant leaves out.
    pub(super) fn set_catalog(&self, catalog: Catalog) -> Vec<String> {
        self.update(|announced| *announced = Arc::new(catalog))
    }

    fn update(&self, change: impl FnOnce(&mut Arc<Catalog>)) -> Vec<String> {
        let mut announced = self.announced.lock();
        change(&mut announced);
        let grant = self.grant.load();
        let left_out: Vec<String> = announced
            .tools
            .iter()
            .filter(|tool| !grant.allows_tool(&tool.name))
            .map(|tool| tool.name.clone())
            .collect();
        if left_out.is_empty() {
            self.effective.store(Arc::clone(&announced));
        } else {
            let mut allowed = Catalog::clone(&announced);
            allowed.tools.retain(|tool| grant.allows_tool(&tool.name));
            self.effective.store(Arc::new(allowed));
        }
        left_out
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::access::{CodeStore, CodesFile};

    fn grant(yaml: &str) -> Grant {
        let store =
            CodeStore::new(runtime::secret::SecretSet::default(), Some(&CodesFile::parse(yaml).unwrap()));
        store.authorize("a", BTreeMap::new()).unwrap()
    }

    #[test]
    fn the_offer_follows_both_the_grant_and_the_catalog() {
        let offer = EffectiveOffer::default();
        let names = || offer.catalog().tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>();
        assert!(offer.set_grant(grant("- {code: a, name: x, tools: [one]}")).is_empty());
        let catalog = Catalog::decode(br#"{"tools":[{"name":"one"},{"name":"two"}]}"#).unwrap();
        assert_eq!(offer.set_catalog(catalog), ["two"]);
        assert_eq!((names(), offer.grant().identity().name()), (vec!["one".to_owned()], Some("x")));
        assert!(offer.set_grant(grant("- {code: a, labels: {set: {p: q}}}")).is_empty());
        assert_eq!((names().len(), offer.grant().labels["p"].as_str()), (2, "q"));
    }
}
