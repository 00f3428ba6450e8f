//! The routes from what the catalog names to backends. Must not know when they change.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::mcp::catalog::{CatalogEntry, ListKind, ServerFacts};
use protocol::mcp::failure::Failure;
use protocol::mcp::kind::Kind;
use protocol::mcp::uri_template;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::list::RegisteredBackend;
use super::names::NamedEntry;
use crate::backends::Curation;
use crate::bridge::owner_digest;
use crate::call::Backend;
use crate::executor::param_headers::ParamHeaders;
use crate::metrics::ToolMeter;

/// The route to one offered entry, or to a whole backend.
pub(in crate::executor) struct Route {
    /// The backend that runs the calls.
    pub(in crate::executor) backend: Arc<dyn Backend>,
    /// The backend's name.
    pub(in crate::executor) owner: String,
    /// The backend's own name of the entry; `None`: as the request has it.
    pub(in crate::executor) own_name: Option<String>,
    /// Arguments that a modern client repeats in headers.
    pub(in crate::executor) param_headers: ParamHeaders,
    /// The metrics: of the tool, or of all entries of a kind together.
    pub(in crate::executor) meters: Arc<ToolMeter>,
    /// Keeps the backend running as long as the route is held.
    _user: TaskTrackerToken,
}

/// The entry of one name.
#[derive(Clone)]
pub(super) enum RouteEntry {
    /// The backend is ready, or is started again: then it lets the call wait.
    Up(Arc<Route>),
    /// The backend of this name had the entry and cannot run.
    Down { backend: String },
}

impl RouteEntry {
    fn get(&self) -> Result<Arc<Route>, Failure> {
        match self {
            Self::Up(route) => Ok(Arc::clone(route)),
            Self::Down { backend } => Err(Failure::BackendFailed {
                backend: backend.clone(),
                reason: "it cannot run as it is configured, or was stopped".into(),
                retry_after: None,
            }),
        }
    }
}

/// A backend as the target of requests that name no entry of the catalog.
struct WholeBackend {
    /// Digest of the backend's name.
    digest: String,
    entry: RouteEntry,
    curation: Curation,
    facts: Arc<ServerFacts>,
}

/// All routes of a slave.
#[derive(Default)]
pub(super) struct Routes {
    by_name: [HashMap<String, RouteEntry>; Kind::ALL.len()],
    /// User interfaces that tools name and no list has, by URI.
    interfaces: HashMap<String, RouteEntry>,
    /// Resource templates with the positions of their backends, in the order of the catalog.
    templates: Vec<(String, usize, RouteEntry)>,
    /// Backends in the order of the configuration.
    backends: Vec<WholeBackend>,
}

/// Name in the metrics of what is no tool: all entries of a kind together, since their names are as many as a backend likes.
fn meter_name(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Tools => "tools/call",
        ListKind::Prompts => "prompts/get",
        ListKind::Resources | ListKind::ResourceTemplates => "resources/read",
    }
}

/// Name in the metrics of requests that name no entry of the catalog.
const OTHER_REQUESTS: &str = "other";

impl Routes {
    /// Returns the route to an entry by its exact name. A known entry whose backend is down fails differently from an unknown one.
    pub(super) fn exact(&self, kind: Kind, name: &str) -> Option<Result<Arc<Route>, Failure>> {
        self.by_name[kind as usize].get(name).map(RouteEntry::get)
    }

    /// Returns the route to a resource: to the backend that lists it, else to the one with a tool whose user interface it is, else to the first
    /// with a template for its URI, else to the only one with resources. What a backend's curation hides is not read by its template either.
    pub(super) fn resource(&self, uri: &str) -> Option<Result<Arc<Route>, Failure>> {
        if let Some(found) = self.exact(Kind::Resource, uri).or_else(|| self.exact(Kind::Template, uri)) {
            return Some(found);
        }
        if let Some(entry) = self.interfaces.get(uri) {
            return Some(entry.get());
        }
        let may_read =
            |at: &usize| self.backends.get(*at).is_some_and(|one| one.curation.offers_resource(uri));
        let mut templates = self.templates.iter();
        if let Some((_, _, entry)) =
            templates.find(|(template, at, _)| uri_template::matches(template, uri) && may_read(at))
        {
            return Some(entry.get());
        }
        let mut owners = self.backends.iter().filter(|backend| {
            backend.facts.capability(&["resources"]).is_some() && backend.curation.offers_resource(uri)
        });
        match (owners.next(), owners.next()) {
            (Some(owner), None) => Some(owner.entry.get()),
            _ => None,
        }
    }

    /// Returns the route to the backend whose name has this digest.
    pub(super) fn of_digest(&self, owner: &str) -> Option<Result<Arc<Route>, Failure>> {
        self.backends.iter().find(|backend| backend.digest == owner).map(|backend| backend.entry.get())
    }

    /// Returns the route for a method that the specifications do not name: to the backend that has a capability or an extension of its first
    /// part's name, else to the only backend.
    pub(super) fn of_method(&self, method: &str) -> Option<Result<Arc<Route>, Failure>> {
        let area = method.split('/').next().unwrap_or(method);
        let speaks = |backend: &&WholeBackend| backend.facts.names(area);
        let mcp = self.backends.iter().filter(|backend| backend.facts.version.is_some());
        let (named, all): (Vec<_>, Vec<_>) = (self.backends.iter().filter(speaks).collect(), mcp.collect());
        match (named.as_slice(), all.as_slice()) {
            ([owner], _) | ([], [owner]) => Some(owner.entry.get()),
            _ => None,
        }
    }
}

/// Returns the routes of all named entries and of user interfaces with the positions of their backends, and for each backend the catalog
/// entries of those that are offered. Metrics of entries that stay with their backend are taken from the routes `before`.
pub(super) fn build(
    backends: &[RegisteredBackend],
    named: Vec<NamedEntry>,
    interfaces: Vec<(String, usize)>,
    before: &Routes,
) -> (Routes, Vec<[Vec<Arc<CatalogEntry>>; 4]>) {
    let mut routes = Routes::default();
    let mut lists = vec![[const { Vec::new() }; 4]; backends.len()];
    let mut meters = Meters { before, of_kinds: HashMap::new() };
    for NamedEntry { backend: at, kind, name, own_name, definition } in named {
        let Some(backend) = backends.get(at) else { continue };
        let of = kind.entry();
        let entry = if backend.is_listed() {
            let is_tool = kind == ListKind::Tools;
            let param_headers =
                if is_tool { ParamHeaders::parse(&name, &definition) } else { ParamHeaders::default() };
            let meter =
                if is_tool { meters.of_tool(&name, backend) } else { meters.of(meter_name(kind), backend) };
            lists[at][kind as usize].push(Arc::new(CatalogEntry::new(name.clone(), definition)));
            // What a template stands for goes to the backend under the URI of the request.
            let own_name = (kind != ListKind::ResourceTemplates).then_some(own_name);
            RouteEntry::Up(Arc::new(route(backend, own_name, param_headers, meter)))
        } else {
            RouteEntry::Down { backend: backend.name.clone() }
        };
        if kind == ListKind::ResourceTemplates {
            routes.templates.push((name.clone(), at, entry.clone()));
        }
        routes.by_name[of as usize].insert(name, entry);
    }
    for (uri, at) in interfaces {
        let Some(backend) = backends.get(at) else { continue };
        let meter = meters.of(meter_name(ListKind::Resources), backend);
        routes.interfaces.insert(uri, as_it_is(backend, meter));
    }
    routes.backends = backends.iter().map(|backend| whole(backend, &mut meters)).collect();
    (routes, lists)
}

/// Returns a route on which requests keep the names that they have.
fn as_it_is(backend: &RegisteredBackend, meter: Arc<ToolMeter>) -> RouteEntry {
    if backend.can_run() {
        RouteEntry::Up(Arc::new(route(backend, None, ParamHeaders::default(), meter)))
    } else {
        RouteEntry::Down { backend: backend.name.clone() }
    }
}

fn whole(backend: &RegisteredBackend, meters: &mut Meters<'_>) -> WholeBackend {
    let meter = meters.of(OTHER_REQUESTS, backend);
    let entry = as_it_is(backend, meter);
    WholeBackend {
        digest: owner_digest(&backend.name),
        entry,
        curation: backend.curation.clone(),
        facts: Arc::clone(&backend.facts),
    }
}

fn route(
    backend: &RegisteredBackend,
    own_name: Option<String>,
    param_headers: ParamHeaders,
    meters: Arc<ToolMeter>,
) -> Route {
    Route {
        backend: Arc::clone(&backend.backend),
        owner: backend.name.clone(),
        own_name,
        param_headers,
        meters,
        _user: backend.users.token(),
    }
}

/// Meters of the routes that are built.
struct Meters<'a> {
    before: &'a Routes,
    /// By name in the metrics and backend.
    of_kinds: HashMap<(&'static str, String), Arc<ToolMeter>>,
}

impl Meters<'_> {
    fn of_tool(&self, name: &str, backend: &RegisteredBackend) -> Arc<ToolMeter> {
        match self.before.by_name[Kind::Tool as usize].get(name) {
            Some(RouteEntry::Up(route)) if route.meters.is_of(&backend.name) => Arc::clone(&route.meters),
            _ => Arc::new(ToolMeter::new(name, &backend.name)),
        }
    }

    fn of(&mut self, name: &'static str, backend: &RegisteredBackend) -> Arc<ToolMeter> {
        let made = self.of_kinds.entry((name, backend.name.clone()));
        Arc::clone(made.or_insert_with(|| Arc::new(ToolMeter::of_method(name, &backend.name))))
    }
}
