//! Pools of requests that name no entry of a catalog: resources that no list has, and methods that the specifications do not name. Such a
//! request goes on only where one owner is certain. Must not know calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy::SubjectKind;
use protocol::mcp::catalog::CatalogServer;
use protocol::mcp::kind::Kind;
use protocol::mcp::members::ExactMembers;

use super::offer::Schema;
use super::permission::{PoolAccess, ToolRules};
use super::pool::{Pool, PoolParts, PoolSettings};
use super::ready::Ready;
use crate::access::PoolDomain;
use crate::balance::outliers::OutlierDetector;

/// Most areas of methods that have a pool.
const MAX_AREAS: usize = 64;

/// The pools.
#[derive(Default)]
pub(super) struct UnnamedPools {
    resources: Option<Arc<Pool>>,
    /// All slaves with backends that have tasks, of any domain: the id of a task names its slave.
    tasks: Option<Arc<Pool>>,
    /// By the first part of a method's name, where backends name it among their capabilities or extensions.
    areas: BTreeMap<String, Option<Arc<Pool>>>,
    /// All slaves with MCP servers, where they are of one domain.
    any: Option<Arc<Pool>>,
}

impl UnnamedPools {
    /// Returns the pool of the only owner of resources.
    pub(super) fn resources(&self) -> Option<&Arc<Pool>> {
        self.resources.as_ref()
    }

    /// Returns the pool of the slaves with tasks.
    pub(super) fn tasks(&self) -> Option<&Arc<Pool>> {
        self.tasks.as_ref()
    }

    /// Returns the pool of a method: of those that name its area, else of all.
    pub(super) fn of_method(&self, method: &str) -> Option<&Arc<Pool>> {
        let area = method.split('/').next().unwrap_or(method);
        match self.areas.get(area) {
            Some(pool) => pool.as_ref(),
            None => self.any.as_ref(),
        }
    }

    fn outliers(&self, name: &str) -> Option<&Arc<OutlierDetector>> {
        let pool = match name {
            RESOURCES => self.resources.as_ref(),
            TASKS => self.tasks.as_ref(),
            ANY => self.any.as_ref(),
            area => self.areas.get(area).and_then(Option::as_ref),
        };
        pool.map(|pool| &pool.outliers)
    }
}

/// Name of the pool of resources.
const RESOURCES: &str = "resources/*";

/// Name of the pool of tasks.
const TASKS: &str = "tasks/*";

/// Name of the pool of all slaves.
const ANY: &str = "*";

/// Builds the pools. `before` are those until now, whose outlier detectors are kept.
/// `tools` returns the rules about tools.
pub(super) fn build(
    ready: &[Ready],
    settings: &PoolSettings<'_>,
    before: &UnnamedPools,
    tools: &dyn Fn() -> ToolRules,
) -> UnnamedPools {
    let mut pools = UnnamedPools::default();
    let pool = |kind, name: &str, serves: &dyn Fn(&CatalogServer) -> bool| {
        let slaves: Vec<&Ready> = ready.iter().filter(|slave| slave.servers().iter().any(serves)).collect();
        let domain = match kind {
            Some(Kind::Task) => slaves.first()?.domain(),
            _ => only_domain(&slaves)?,
        };
        let outliers = before.outliers(name).map(Arc::clone);
        let outliers = outliers.unwrap_or_else(|| Arc::new(OutlierDetector::new(settings.policies.ejection)));
        let members: Vec<_> = slaves.iter().map(|slave| Arc::clone(slave.slave())).collect();
        outliers.retain(|slot| members.iter().any(|slave| slave.host_slot() == slot));
        let method = match kind {
            Some(Kind::Resource) => "resources/read",
            Some(Kind::Task) => "tasks/get",
            _ => "other",
        };
        let access = settings.policy.map(|policy| match SubjectKind::of(kind) {
            Some(kind) => PoolAccess::of_names(policy, kind, None, members.iter()),
            None => PoolAccess::of_tasks(policy, &members, tools()),
        });
        let parts = PoolParts {
            kind,
            method,
            own_name: name,
            shown_name: name,
            domain: &domain,
            schema: Some(Schema::Absent),
            members,
            outliers,
            max_retries: 0,
            access,
        };
        Some(Arc::new(Pool::new(parts, settings)))
    };
    let has_resources = |server: &CatalogServer| server.facts.capability(&["resources"]).is_some();
    pools.resources = pool(Some(Kind::Resource), RESOURCES, &has_resources);
    pools.tasks = pool(Some(Kind::Task), TASKS, &|server| server.facts.names("tasks"));
    for area in areas(ready) {
        let names_it = |server: &CatalogServer| server.facts.names(&area);
        let owner = pool(None, &area, &names_it);
        pools.areas.insert(area, owner);
    }
    pools.any = pool(None, ANY, &|server| server.facts.version.is_some());
    pools
}

/// Returns the domain of all these slaves; `None`: there are several, or no slave.
fn only_domain(slaves: &[&Ready]) -> Option<PoolDomain> {
    let mut domains = slaves.iter().map(|slave| slave.domain());
    let first = domains.next()?;
    domains.all(|domain| domain == first).then_some(first)
}

/// Returns the areas that backends name: their capabilities, and their extensions and experimental capabilities without the prefix of their
/// owner.
fn areas(ready: &[Ready]) -> BTreeSet<String> {
    let mut areas = BTreeSet::new();
    for server in ready.iter().flat_map(Ready::servers) {
        let Some(capabilities) = server.facts.capabilities.as_deref() else { continue };
        let sets =
            ["extensions", "experimental"].into_iter().filter_map(|set| server.facts.capability(&[set]));
        let sets = std::iter::once(capabilities).chain(sets);
        let names = sets.flat_map(|set| ExactMembers::of(set).0).map(|(name, _)| name);
        let names = names.filter_map(|name| String::from_utf8(name).ok());
        areas.extend(names.map(|name| name.rsplit('/').next().unwrap_or_default().to_owned()));
    }
    areas.into_iter().take(MAX_AREAS).collect()
}
