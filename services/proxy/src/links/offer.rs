//! The effective offer of a slave: its catalog, reduced to the tools that its grant allows. Must not know links.

use parking_lot::Mutex;
use std::sync::Arc;

use arc_swap::ArcSwap;
use protocol::mcp::catalog::{Catalog, CatalogEntry};

use super::bounds::LeftOut;
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

    /// Sets the grant, and returns the tools that it leaves out.
    pub(super) fn set_grant(&self, grant: Grant) -> Vec<LeftOut> {
        self.grant.store(Arc::new(grant));
        self.update(|_| ())
    }

    /// Sets the slave's catalog, and returns the tools that the grant leaves out.
    pub(super) fn set_catalog(&self, catalog: Catalog) -> Vec<LeftOut> {
        self.update(|announced| *announced = Arc::new(catalog))
    }

    fn update(&self, change: impl FnOnce(&mut Arc<Catalog>)) -> Vec<LeftOut> {
        let mut announced = self.announced.lock();
        change(&mut announced);
        let grant = self.grant.load();
        let denied = |tool: &Arc<CatalogEntry>| {
            let why = grant.check_tool(tool).err()?;
            Some(LeftOut { tool: tool.name.clone(), why })
        };
        let left_out: Vec<LeftOut> = announced.tools.iter().filter_map(denied).collect();
        if left_out.is_empty() {
            self.effective.store(Arc::clone(&announced));
        } else {
            let mut allowed = Catalog::clone(&announced);
            allowed.tools.retain(|tool| grant.check_tool(tool).is_ok());
            self.effective.store(Arc::new(allowed));
        }
        left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Announced, CodeStore, CodesFile, ToolDenied};

    fn grant(yaml: &str) -> Grant {
        let store =
            CodeStore::new(runtime::secret::SecretSet::default(), Some(&CodesFile::parse(yaml).unwrap()));
        store.authorize("a", None, Announced::default()).unwrap()
    }

    #[test]
    fn the_offer_follows_both_the_grant_and_the_catalog() {
        let offer = EffectiveOffer::default();
        let names = || offer.catalog().tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>();
        assert!(offer.set_grant(grant("- {code: a, name: x, tools: [one]}")).is_empty());
        let catalog = Catalog::decode(br#"{"tools":[{"name":"one"},{"name":"two"}]}"#).unwrap();
        let left_out = LeftOut { tool: "two".into(), why: ToolDenied::NotAllowed };
        assert_eq!(offer.set_catalog(catalog), [left_out]);
        assert_eq!((names(), offer.grant().identity().name()), (vec!["one".to_owned()], Some("x")));
        assert!(offer.set_grant(grant("- {code: a, labels: {set: {p: q}}}")).is_empty());
        assert_eq!((names().len(), offer.grant().labels["p"].as_str()), (2, "q"));
    }
}
