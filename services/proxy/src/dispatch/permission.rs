//! Which slaves of a pool a client may use, by the policy (`POLICY`). The rules about a pool are worked out when the directory is built, so
//! that a call costs one AND of bit sets. Must not know calls.

use std::collections::HashMap;
use std::sync::Arc;

use policy::{Annotations, Clearance, Decision, Place, Policy, Requester, RuleSet, Subject, SubjectKind};
use protocol::mcp::catalog::CatalogEntry;
use protocol::mcp::kind::Kind;
use protocol::mcp::task_id::{self, TaskId};

use crate::access::Grant;
use crate::links::Slave;
use crate::routes::{Priorities, Route};

/// The policy as far as one pool is concerned.
pub(super) struct PoolAccess {
    policy: Arc<Policy>,
    about: About,
}

/// What the rules of a pool are about.
enum About {
    /// An entry of a list, with the rules about it at each group of slaves.
    Entry(SubjectKind, Arc<[Group]>),
    /// What a request names: a method, or a resource, perhaps by a template.
    Named { kind: SubjectKind, template: Option<String>, members: Vec<Member> },
    /// Tasks, by the tools that made them, which their ids name.
    Tasks { members: Vec<Arc<Slave>>, tools: ToolRules },
    /// Slaves as a whole, of requests that name nothing: replies.
    Slaves(Vec<Group>),
}

/// The rules about tools, by the slaves' name of each: several providers may have tools of one name.
#[derive(Default)]
pub(super) struct ToolRules(HashMap<Arc<str>, Vec<Arc<[Group]>>>);

impl ToolRules {
    /// Adds those about a tool.
    pub(super) fn add(&mut self, own_name: &Arc<str>, access: &PoolAccess) {
        if let About::Entry(_, groups) = &access.about {
            self.0.entry(Arc::clone(own_name)).or_default().push(Arc::clone(groups));
        }
    }

    /// Returns the rules about a task at the slave that has it. Without the tool's definition nothing is known that would allow the task.
    fn of_task(&self, id: &TaskId<'_>, slave: &Slave) -> Option<&RuleSet> {
        let mut groups = self.0.get(id.tool.as_str())?.iter().flat_map(|groups| groups.iter());
        groups.find(|group| group.slaves.contains(&slave.key)).map(|group| &group.rules)
    }
}

/// Slaves about which the rules are the same.
struct Group {
    rules: RuleSet,
    slaves: Vec<u64>,
}

/// A slave as the rules see it.
struct Member {
    key: u64,
    code: String,
    grant: Arc<Grant>,
}

impl Member {
    fn of(slave: &Slave) -> Self {
        let grant = slave.grant();
        Self { key: slave.key, code: grant.identity().to_string(), grant }
    }

    fn place(&self) -> Place<'_> {
        Place { code: &self.code, labels: &self.grant.labels }
    }
}

/// Puts slaves together about which the rules are the same.
fn group(of: impl Iterator<Item = (u64, RuleSet)>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (key, rules) in of {
        match groups.iter_mut().find(|group| group.rules == rules) {
            Some(group) => group.slaves.push(key),
            None => groups.push(Group { rules, slaves: vec![key] }),
        }
    }
    groups
}

/// Returns what a request of this kind and name is about.
fn subject<'a>(kind: SubjectKind, name: &'a str, template: Option<&'a str>) -> Subject<'a> {
    let subject = Subject::named(kind, name, name);
    match template {
        Some(template) if template != name => subject.reached_by(template),
        _ => subject,
    }
}

impl PoolAccess {
    /// Returns the access to an entry of a list that these slaves offer, each with its definition. `names` are the clients' and the
    /// slaves' name.
    pub(super) fn of_entry(
        policy: &Arc<Policy>,
        kind: Kind,
        names: [&str; 2],
        members: &[(&Arc<Slave>, &CatalogEntry)],
    ) -> Self {
        let Some(subject_kind) = SubjectKind::of(Some(kind)) else { return Self::of_slaves(policy, &[]) };
        let subject = Subject::named(subject_kind, names[0], names[1]);
        let rules = members.iter().map(|(slave, entry)| {
            let annotations = (kind == Kind::Tool).then(|| Annotations::of(&entry.definition));
            let member = Member::of(slave);
            (member.key, policy.target(&subject, member.place(), annotations))
        });
        Self { policy: Arc::clone(policy), about: About::Entry(subject_kind, group(rules).into()) }
    }

    /// Returns the access to what requests name that no list has, or that they reach by this template.
    pub(super) fn of_names<'a>(
        policy: &Arc<Policy>,
        kind: SubjectKind,
        template: Option<&str>,
        members: impl Iterator<Item = &'a Arc<Slave>>,
    ) -> Self {
        let members = members.map(|slave| Member::of(slave)).collect();
        let about = About::Named { kind, template: template.map(str::to_owned), members };
        Self { policy: Arc::clone(policy), about }
    }

    /// Returns the access to tasks that these slaves have.
    pub(super) fn of_tasks(policy: &Arc<Policy>, members: &[Arc<Slave>], tools: ToolRules) -> Self {
        let about = About::Tasks { members: members.to_vec(), tools };
        Self { policy: Arc::clone(policy), about }
    }

    /// Returns the access to slaves as a whole.
    pub(super) fn of_slaves(policy: &Arc<Policy>, members: &[Arc<Slave>]) -> Self {
        let rules = members.iter().map(|slave| {
            let member = Member::of(slave);
            (member.key, policy.target_of_place(member.place()))
        });
        Self { policy: Arc::clone(policy), about: About::Slaves(group(rules)) }
    }

    /// Returns whether requests have the arguments that rules may ask for: those of a task were judged when it was made.
    fn has_arguments(&self) -> bool {
        !matches!(self.about, About::Tasks { .. })
    }

    /// Returns the policy.
    pub(super) fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Returns the rules about an entry, once for each group of slaves.
    pub(super) fn entry_rules(&self) -> Vec<RuleSet> {
        match &self.about {
            About::Entry(_, groups) => groups.iter().map(|group| group.rules.clone()).collect(),
            About::Named { .. } | About::Tasks { .. } | About::Slaves(_) => Vec::new(),
        }
    }

    /// Returns the rules about what a request of this name asks for, once for each group of slaves.
    pub(super) fn rules_about(&self, name: &str) -> Vec<RuleSet> {
        self.with_groups(name, |_, groups| groups.iter().map(|group| group.rules.clone()).collect())
    }

    /// Returns the rules about an entry at a slave.
    pub(super) fn rules_at(&self, slave: &Slave) -> Option<(SubjectKind, &RuleSet)> {
        let About::Entry(kind, groups) = &self.about else { return None };
        let group = groups.iter().find(|group| group.slaves.contains(&slave.key))?;
        Some((*kind, &group.rules))
    }

    /// Calls `read` with the kind of what a request names and the rules about it at each group of slaves.
    fn with_groups<R>(&self, name: &str, read: impl FnOnce(Option<SubjectKind>, &[Group]) -> R) -> R {
        match &self.about {
            About::Entry(kind, groups) => read(Some(*kind), groups),
            About::Slaves(groups) => read(None, groups),
            About::Tasks { members, tools } => {
                // What the id says of the tool is proven at the slave, which has sealed it.
                let rules = task_id::with_label(name).into_iter().flat_map(|(label, id)| {
                    let of_process = move |slave: &&Arc<Slave>| slave.state_process() == Some(label.process);
                    let rules =
                        move |slave: &Arc<Slave>| Some((slave.key, tools.of_task(&id, slave)?.clone()));
                    members.iter().filter(of_process).filter_map(rules)
                });
                read(Some(SubjectKind::Tool), &group(rules))
            }
            About::Named { kind, template, members } => {
                let subject = subject(*kind, name, template.as_deref());
                let rules = members
                    .iter()
                    .map(|member| (member.key, self.policy.target(&subject, member.place(), None)));
                read(Some(*kind), &group(rules))
            }
        }
    }

    /// Decides whether a client may know of what it names, whatever the arguments.
    pub(super) fn show(&self, client: &Requester<'_>, name: &str) -> Decision {
        let client_rules = self.policy.client_rules(client);
        self.with_groups(name, |kind, groups| {
            let decisions =
                groups.iter().map(|group| self.policy.decide(kind, &client_rules, &group.rules, None));
            decisions.reduce(Decision::or).unwrap_or(Decision::Hidden(None))
        })
    }

    /// Returns whether a client may use a task of this id at a slave.
    pub(super) fn may_use_task(&self, client: &Requester<'_>, id: &str, slave: &Slave) -> bool {
        let About::Tasks { tools, .. } = &self.about else { return false };
        let rules = task_id::with_label(id).and_then(|(_, id)| tools.of_task(&id, slave));
        rules.is_some_and(|rules| {
            let client_rules = self.policy.client_rules(client);
            self.policy.decide(Some(SubjectKind::Tool), &client_rules, rules, None) == Decision::Allowed
        })
    }

    /// Decides on a client's message. The message is parsed only where a rule about the client asks for arguments.
    ///
    /// # Errors
    /// No slave of the pool may take it.
    pub(super) fn clear(
        &self,
        client: &Requester<'_>,
        name: &str,
        message: &[u8],
    ) -> Result<Arc<Clearance>, Decision> {
        let client_rules = self.policy.client_rules(client);
        self.with_groups(name, |kind, groups| {
            let asks = self.has_arguments()
                && groups.iter().any(|group| self.policy.needs_arguments(&client_rules, &group.rules));
            let arguments = asks.then(|| self.policy.arguments(&client_rules, message));
            let decide =
                |group: &Group| self.policy.decide(kind, &client_rules, &group.rules, arguments.as_ref());
            let decision = groups.iter().map(decide).reduce(Decision::or).unwrap_or(Decision::Hidden(None));
            match decision {
                Decision::Allowed => {
                    Ok(Arc::new(self.policy.clearance(Arc::clone(&client_rules), arguments)))
                }
                refused => Err(refused),
            }
        })
    }

    /// Returns the slaves that a client with this clearance may use; `None`: all of the pool. Empty also where the clearance is that of
    /// another policy, or does not say what this one asks for: the message has to be looked at again.
    fn allowed(&self, clearance: &Clearance, name: &str) -> Option<Vec<u64>> {
        if clearance.generation != self.policy.generation() {
            return Some(Vec::new());
        }
        let Clearance { client_rules, arguments, .. } = clearance;
        self.with_groups(name, |kind, groups| {
            let may = |group: &&Group| {
                let is_known = arguments.is_some()
                    || !self.has_arguments()
                    || !self.policy.needs_arguments(client_rules, &group.rules);
                is_known
                    && self.policy.decide(kind, client_rules, &group.rules, arguments.as_ref())
                        == Decision::Allowed
            };
            let allowed: Vec<&Group> = groups.iter().filter(may).collect();
            let is_all = !allowed.is_empty() && allowed.len() == groups.len();
            (!is_all).then(|| allowed.iter().flat_map(|group| group.slaves.iter().copied()).collect())
        })
    }
}

/// Returns whether a client may use what it names at a slave that does not list it.
pub(super) fn may_use(
    policy: &Policy,
    client: &Requester<'_>,
    kind: Kind,
    name: &str,
    slave: &Slave,
) -> bool {
    let (member, kind) = (Member::of(slave), SubjectKind::of(Some(kind)));
    let target = match kind {
        Some(kind) => policy.target(&Subject::named(kind, name, name), member.place(), None),
        None => policy.target_of_place(member.place()),
    };
    policy.decide(kind, &policy.client_rules(client), &target, None).is_shown()
}

/// Returns whether a client may read a resource at a slave.
pub(super) fn may_read(policy: &Policy, client: &Requester<'_>, uri: &str, slave: &Slave) -> bool {
    let member = Member::of(slave);
    let target = policy.target(&Subject::resource([uri]), member.place(), None);
    let decision = policy.decide(Some(SubjectKind::Resource), &policy.client_rules(client), &target, None);
    decision == Decision::Allowed
}

/// Returns the part of a route that its clearance allows; `None`: nothing of it. `access` is that of the route's pool, `name` what the
/// request names.
pub(super) fn narrow(access: Option<&PoolAccess>, name: &str, route: Route<Slave>) -> Option<Route<Slave>> {
    let Some(access) = access else { return Some(route) };
    let Some(allowed) = access.allowed(route.clearance()?, name) else { return Some(route) };
    let kept = |slaves: &Arc<[Arc<Slave>]>| -> Arc<[Arc<Slave>]> {
        slaves.iter().filter(|slave| allowed.contains(&slave.key)).cloned().collect()
    };
    let priorities: Priorities<Slave> =
        route.priorities.iter().map(kept).filter(|slaves| !slaves.is_empty()).collect();
    (!priorities.is_empty()).then(|| route.with_priorities(priorities))
}
