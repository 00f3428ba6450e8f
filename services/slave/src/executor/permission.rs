//! The slave's own policy (`SLAVE_POLICY`): what a proxy may have it do for whom, so that a proxy that was taken over cannot have it do
//! everything. Must not know backends.

use std::collections::BTreeMap;

use policy::{Annotations, Decision, Place, Policy, PolicyStore, Requester, RuleSet, Subject, SubjectKind};
use protocol::link::header::CallHeader;
use protocol::mcp::failure::Failure;
use protocol::mcp::kind::Kind;
use runtime::audit::{self, AuditLine};

use super::registry::{BackendRegistry, Route};
use crate::call::Request;
use crate::metrics;

/// The policy of the slave, if it has one.
#[derive(Clone, Debug, Default)]
pub(super) struct CallPolicy(Option<PolicyStore>);

/// Returns the client of a call as rules see it, by what the proxy says of it.
fn requester(header: &CallHeader) -> Requester<'static> {
    header.identity.as_deref().map(Requester::of).unwrap_or_default().into_owned()
}

impl CallPolicy {
    pub(super) fn new(store: Option<PolicyStore>) -> Self {
        Self(store)
    }

    /// Checks a call that has this route. One about a task is decided as a call of the tool that made the task, whatever its arguments were.
    ///
    /// # Errors
    /// The policy does not allow it; what it hides is unknown.
    pub(super) fn check(
        &self,
        request: &Request,
        route: &Route,
        registry: &BackendRegistry,
    ) -> Result<(), Failure> {
        let Some(policy) = self.0.as_ref().map(PolicyStore::current) else { return Ok(()) };
        let client = requester(&request.header);
        let name = if request.kind.is_some() { request.name.as_str() } else { &request.header.method };
        if request.kind == Some(Kind::Task) {
            let tool = request.task_origin.as_ref().map(|origin| &*origin.tool).unwrap_or_default();
            let decision = task_decision(&policy, &client, &route.owner, tool, registry);
            if decision == Decision::Allowed {
                return Ok(());
            }
            record(&policy, decision, Some(SubjectKind::Tool), tool, &client);
            return Err(failure(decision, request.kind, name));
        }
        let kind = SubjectKind::of(request.kind);
        let names = [name, route.own_name.as_deref().unwrap_or(name)];
        let target = target(&policy, kind, names, registry);
        let client_rules = policy.client_rules(&client);
        let asks = policy.needs_arguments(&client_rules, &target);
        let arguments = asks.then(|| policy.arguments(&client_rules, &request.message));
        match policy.decide(kind, &client_rules, &target, arguments.as_ref()) {
            Decision::Allowed => Ok(()),
            decision => {
                record(&policy, decision, kind, name, &client);
                Err(failure(decision, request.kind, name))
            }
        }
    }

    /// Returns whether the client of a call may use the slave at all.
    pub(super) fn may_use_slave(&self, header: &CallHeader) -> bool {
        self.0.as_ref().map(PolicyStore::current).is_none_or(|policy| {
            let target = policy.target_of_place(place(&BTreeMap::new()));
            policy.decide(None, &policy.client_rules(&requester(header)), &target, None) == Decision::Allowed
        })
    }

    /// Returns whether the client of a call may use a task that this tool of a backend has made.
    pub(super) fn may_use_task(
        &self,
        header: &CallHeader,
        backend: &str,
        tool: &str,
        registry: &BackendRegistry,
    ) -> bool {
        self.0.as_ref().map(PolicyStore::current).is_none_or(|policy| {
            task_decision(&policy, &requester(header), backend, tool, registry) == Decision::Allowed
        })
    }

    /// Returns whether the client of a call may read a resource.
    pub(super) fn may_read(&self, header: &CallHeader, uri: &str) -> bool {
        self.0.as_ref().map(PolicyStore::current).is_none_or(|policy| {
            let kind = Some(SubjectKind::Resource);
            let target = policy.target(&Subject::resource([uri]), place(&BTreeMap::new()), None);
            policy.decide(kind, &policy.client_rules(&requester(header)), &target, None) == Decision::Allowed
        })
    }
}

/// Rules of a slave name no slaves.
fn place(labels: &BTreeMap<String, String>) -> Place<'_> {
    Place { code: "", labels }
}

fn target(
    policy: &Policy,
    kind: Option<SubjectKind>,
    names: [&str; 2],
    registry: &BackendRegistry,
) -> RuleSet {
    let labels = BTreeMap::new();
    let Some(kind) = kind else { return policy.target_of_place(place(&labels)) };
    let annotations = (kind == SubjectKind::Tool).then(|| {
        let catalog = registry.catalog().borrow().clone();
        let entry = catalog.tools.iter().find(|entry| entry.name == names[0]);
        entry.map(|entry| Annotations::of(&entry.definition)).unwrap_or_default()
    });
    policy.target(&Subject::named(kind, names[0], names[1]), place(&labels), annotations)
}

/// Decides on a task by the tool that made it. Without the tool's definition nothing is known of it that would allow it.
fn task_decision(
    policy: &Policy,
    client: &Requester<'_>,
    backend: &str,
    tool: &str,
    registry: &BackendRegistry,
) -> Decision {
    let Some(own_name) = registry.own_tool_name(backend, tool) else { return Decision::Hidden(None) };
    let kind = Some(SubjectKind::Tool);
    let target = target(policy, kind, [tool, &own_name], registry);
    policy.decide(kind, &policy.client_rules(client), &target, None)
}

fn failure(decision: Decision, kind: Option<Kind>, name: &str) -> Failure {
    let name = name.to_owned();
    match (decision, kind) {
        (Decision::Forbidden(_), _) => {
            Failure::Forbidden("the slave's policy does not allow these arguments".into())
        }
        (_, None) => Failure::MethodNotFound(name),
        (_, Some(Kind::Tool)) => Failure::UnknownTool(name),
        (_, Some(Kind::Prompt)) => Failure::UnknownPrompt(name),
        (_, Some(Kind::Resource | Kind::Template)) => Failure::UnknownResource(name),
        (_, Some(Kind::Task)) => Failure::UnknownTask(name),
    }
}

/// Counts a refusal, and writes it to log and audit stream with the rule that decided.
fn record(
    policy: &Policy,
    decision: Decision,
    kind: Option<SubjectKind>,
    name: &str,
    client: &Requester<'_>,
) {
    let kind = kind.map_or("task", SubjectKind::as_str);
    metrics::record_denial(decision.as_str(), kind);
    let rule = decision.rule().and_then(|rule| policy.rule(rule)).map(|rule| rule.name);
    let why = rule.as_deref().unwrap_or("no rule allows it");
    tracing::info!(kind, name, decision = decision.as_str(), rule = why, "Call denied by SLAVE_POLICY");
    if audit::is_on() {
        let line = AuditLine::new("request_denied")
            .with("decision", decision.as_str())
            .with("rule", why)
            .with("kind", kind)
            .with("name", name)
            .with("client_key", client.key.as_deref())
            .with("issuer", client.issuer.as_deref())
            .with("subject", client.subject.as_deref());
        audit::write_line(line);
    }
}
