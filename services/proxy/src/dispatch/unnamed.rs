//! Pools of requests that name no entry of a catalog: resources that no list has, those among them that are user interfaces of tools, and
//! methods that the specifications do not name. Such a request goes on only where one owner is certain. Must not know calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy::SubjectKind;
use protocol::mcp::apps::interface_of;
use protocol::mcp::catalog::CatalogServer;
use protocol::mcp::kind::Kind;
use protocol::mcp::members::ExactMembers;

use super::offer::Schema;
use super::permission::{PoolAccess, ToolRules};
use super::pool::{Pool, PoolParts, PoolSettings};
use super::ready::Ready;
use crate::access::{PoolDomain, Precedence};
use crate::balance::outliers::OutlierDetector;

/// Most areas of methods that have a pool.
const MAX_AREAS: usize = 64;

/// The pools.
#[derive(Default)]
pub(super) struct UnnamedPools {
    resources: Option<Arc<Pool>>,
    /// User interfaces that tools name and no list has, by URI.
    interfaces: BTreeMap<String, Arc<Pool>>,
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

    /// Returns the pool of the user interface with this URI.
    pub(super) fn interface(&self, uri: &str) -> Option<&Arc<Pool>> {
        self.interfaces.get(uri)
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
            name => self.areas.get(name).and_then(Option::as_ref).or_else(|| self.interfaces.get(name)),
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
/// `tools` returns the rules about tools; `is_listed`, whether a list has a resource of this URI.
pub(super) fn build(
    ready: &[Ready],
    settings: &PoolSettings<'_>,
    before: &UnnamedPools,
    tools: &dyn Fn() -> ToolRules,
    is_listed: &dyn Fn(&str) -> bool,
) -> UnnamedPools {
    let mut pools = UnnamedPools::default();
    let builder = Builder { settings, before, tools };
    let serving = |serves: &dyn Fn(&CatalogServer) -> bool| -> Vec<&Ready> {
        ready.iter().filter(|slave| slave.servers().iter().any(serves)).collect()
    };
    let has_resources = |server: &CatalogServer| server.facts.capability(&["resources"]).is_some();
    pools.resources = builder.pool(Some(Kind::Resource), RESOURCES, &serving(&has_resources));
    pools.tasks = builder.pool(Some(Kind::Task), TASKS, &serving(&|server| server.facts.names("tasks")));
    for area in areas(ready) {
        let owner = builder.pool(None, &area, &serving(&|server| server.facts.names(&area)));
        pools.areas.insert(area, owner);
    }
    pools.any = builder.pool(None, ANY, &serving(&|server| server.facts.version.is_some()));
    for (uri, slaves) in interfaces(ready, settings.precedence) {
        if !is_listed(&uri)
            && let Some(pool) = builder.pool(Some(Kind::Resource), &uri, &slaves)
        {
            pools.interfaces.insert(uri, pool);
        }
    }
    pools
}

/// What all the pools are built with.
struct Builder<'a> {
    settings: &'a PoolSettings<'a>,
    before: &'a UnnamedPools,
    tools: &'a dyn Fn() -> ToolRules,
}

impl Builder<'_> {
    /// Returns the pool of these slaves; `None`: there is none, or they are of several domains, which only tasks may be of.
    fn pool(&self, kind: Option<Kind>, name: &str, slaves: &[&Ready]) -> Option<Arc<Pool>> {
        let settings = self.settings;
        let domain = match kind {
            Some(Kind::Task) => slaves.first()?.domain(),
            _ => only_domain(slaves)?,
        };
        let outliers = self.before.outliers(name).map(Arc::clone);
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
            None => PoolAccess::of_tasks(policy, &members, (self.tools)()),
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
    }
}

/// Returns the user interfaces that tools name (MCP Apps), each with the slaves of the domain that precedes among those whose tools name it.
fn interfaces<'a>(ready: &'a [Ready], precedence: &Precedence) -> BTreeMap<String, Vec<&'a Ready>> {
    let mut slaves: Vec<&Ready> = ready.iter().collect();
    slaves.sort_by_key(|slave| (precedence.rank(slave.identity()), slave.identity(), &slave.slave().name));
    let mut interfaces: BTreeMap<String, Vec<&Ready>> = BTreeMap::new();
    for slave in slaves {
        let named: BTreeSet<String> =
            slave.tools().iter().filter_map(|tool| interface_of(&tool.definition)).collect();
        for uri in named {
            let owners = interfaces.entry(uri).or_default();
            if owners.first().is_none_or(|first| first.domain() == slave.domain()) {
                owners.push(slave);
            }
        }
    }
    interfaces
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
