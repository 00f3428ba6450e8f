//! Catalogs in parts: any order of parts gives the state of the last ones, limits hold, and what is dropped is given back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use protocol::mcp::catalog::{Catalog, ListKind};
use serde_json::{Value, json};

use super::account::{CatalogAccount, CatalogBudget};
use super::announced::{AnnouncedCatalog, Received};
use super::refusal::CatalogRefusal;
use crate::access::CodeLimits;

const MEBI: usize = 1 << 20;

struct Slave {
    announced: AnnouncedCatalog,
    account: Arc<CatalogAccount>,
    limits: CodeLimits,
    now: Instant,
}

fn budget(limit: usize) -> Arc<CatalogBudget> {
    Arc::new(CatalogBudget { used: AtomicUsize::new(0), limit })
}

fn slave(account: &Arc<CatalogAccount>, limits: CodeLimits) -> Slave {
    let announced = AnnouncedCatalog::default();
    Slave { announced, account: Arc::clone(account), limits, now: Instant::now() }
}

fn unlimited() -> CodeLimits {
    CodeLimits { catalog_changes: 1_000_000, ..CodeLimits::default() }
}

fn list(names: &[&str]) -> Value {
    json!({ "items": names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>() })
}

fn tools(backend: &str, names: &[&str]) -> Value {
    json!({ "backend": backend, "lists": { "tools": list(names) } })
}

impl Slave {
    fn send(&mut self, part: &Value) -> Received {
        let json = part.to_string();
        self.announced.receive(json.as_bytes(), &self.account, &self.limits, self.now).unwrap()
    }

    fn complete(&mut self) {
        self.send(&json!({ "slave": { "complete": true } }));
    }

    fn names(&self, kind: ListKind) -> Vec<String> {
        self.announced.merge().list(kind).iter().map(|entry| entry.name.clone()).collect()
    }

    fn tools(&self) -> Vec<String> {
        self.names(ListKind::Tools)
    }

    fn degraded(&self) -> String {
        self.announced.merge().degraded.unwrap_or_default()
    }

    /// Lets so much time pass that the code has all its changes again.
    fn pass(&mut self) -> Received {
        self.now += Duration::from_hours(1);
        self.announced.apply_pending(&self.account, &self.limits, self.now).unwrap()
    }
}

/// What a part says of a list.
#[derive(Clone, Debug)]
enum Change {
    Unchanged,
    Removed,
    Replaced(Vec<u8>),
}

/// A step of a slave: which backend, and what it sends of it.
#[derive(Clone, Debug)]
enum Step {
    Gone(usize),
    Move(usize, u32),
    Lists(usize, [Change; 2]),
    Health(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let list = || {
        prop_oneof![
            Just(Change::Unchanged),
            Just(Change::Removed),
            prop::collection::vec(0_u8..9, 0..4).prop_map(Change::Replaced),
        ]
    };
    let step = prop_oneof![
        (0_usize..3).prop_map(Step::Gone),
        (0_usize..3, 0_u32..3).prop_map(|(backend, position)| Step::Move(backend, position)),
        (0_usize..3, list(), list()).prop_map(|(backend, tools, uris)| Step::Lists(backend, [tools, uris])),
        any::<bool>().prop_map(Step::Health),
    ];
    prop::collection::vec(step, 0..25)
}

fn backend(at: usize) -> &'static str {
    ["a", "b", ""][at]
}

impl Step {
    fn message(&self) -> Value {
        match self {
            Self::Gone(at) => json!({ "backend": backend(*at), "gone": true }),
            Self::Move(at, position) => json!({ "backend": backend(*at), "position": position }),
            Self::Health(degraded) => {
                let state = if *degraded { "degraded" } else { "ready" };
                json!({ "slave": { "complete": true, "health": { "state": state, "reason": "why" } } })
            }
            Self::Lists(at, lists) => {
                let mut message = json!({ "backend": backend(*at), "lists": {} });
                for (kind, change) in ["tools", "resources"].into_iter().zip(lists) {
                    match change {
                        Change::Unchanged => {}
                        Change::Removed => message["lists"][kind] = Value::Null,
                        Change::Replaced(list) => message["lists"][kind] = items(*at, kind, list),
                    }
                }
                message
            }
        }
    }
}

/// Definitions of a backend's list: names are the backend's own, each once.
fn items(at: usize, kind: &str, list: &[u8]) -> Value {
    let distinct: std::collections::BTreeSet<u8> = list.iter().copied().collect();
    let key = if kind == "tools" { "name" } else { "uri" };
    let item = |n: u8| json!({ key: format!("{at}-{n}"), "x": n });
    json!({ "items": distinct.into_iter().map(item).collect::<Vec<_>>() })
}

/// What the steps add up to: for each backend its position, and of each list the last that came.
#[derive(Default)]
struct Model {
    backends: BTreeMap<&'static str, (u32, [Vec<String>; 2])>,
    degraded: bool,
}

impl Model {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Gone(at) => drop(self.backends.remove(backend(*at))),
            Step::Move(at, position) => self.backends.entry(backend(*at)).or_default().0 = *position,
            Step::Health(degraded) => self.degraded = *degraded,
            Step::Lists(at, lists) => {
                let known = self.backends.entry(backend(*at)).or_default();
                for (kind, (known, list)) in
                    ["tools", "resources"].into_iter().zip(known.1.iter_mut().zip(lists))
                {
                    let items = match list {
                        Change::Unchanged => continue,
                        Change::Removed => Value::Null,
                        Change::Replaced(list) => items(*at, kind, list),
                    };
                    let key = if kind == "tools" { "name" } else { "uri" };
                    let items = items["items"].as_array().cloned().unwrap_or_default();
                    *known = items.iter().map(|item| item[key].as_str().unwrap().to_owned()).collect();
                }
            }
        }
    }

    fn names(&self, kind: usize) -> Vec<String> {
        let mut backends: Vec<_> = self.backends.values().collect();
        backends.sort_by_key(|(position, _)| *position);
        backends.into_iter().flat_map(|(_, lists)| lists[kind].clone()).collect()
    }
}

proptest! {
    #[test]
    fn any_order_of_parts_gives_the_state_of_the_last_ones(steps in steps(), changes in 1_u32..40) {
        let account = CatalogAccount::new(budget(MEBI), 1);
        let mut free = slave(&account, unlimited());
        let paced_account = CatalogAccount::new(budget(MEBI), 1);
        let mut paced = slave(&paced_account, CodeLimits { catalog_changes: changes, ..CodeLimits::default() });
        free.complete();
        paced.complete();
        let mut model = Model::default();
        for step in &steps {
            model.take(step);
            free.send(&step.message());
            paced.send(&step.message());
            prop_assert_eq!(free.tools(), model.names(0));
        }
        paced.pass();
        for slave in [&free, &paced] {
            prop_assert_eq!(slave.tools(), model.names(0));
            prop_assert_eq!(slave.names(ListKind::Resources), model.names(1));
            prop_assert_eq!(slave.degraded(), if model.degraded { "why" } else { "" });
        }
        drop((free, paced));
        prop_assert_eq!((account.usage(), paced_account.usage()), ((0, 0), (0, 0)));
    }
}

#[test]
fn a_list_beyond_a_limit_is_left_out_and_the_others_stay() {
    let account = CatalogAccount::new(budget(MEBI), 1);
    let mut slave = slave(&account, CodeLimits { catalog_bytes: 200, tools: 3, ..unlimited() });
    slave.send(&tools("a", &["one"]));
    slave.send(&tools("b", &["two"]));
    slave.send(&tools("b", &["two", "three", "four"]));
    assert_eq!(slave.tools(), ["one"], "what was there of the list is removed");
    assert!(
        slave.degraded().contains("tools of backend \"b\" left out") && slave.degraded().contains("3 tools")
    );
    assert!(matches!(slave.announced.take_refusals()[..], [CatalogRefusal::Entries { limit: 3, .. }]));
    let long = "x".repeat(120);
    slave.send(&json!({ "backend": "a", "lists": { "tools": list(&["one"]), "resources": { "items": [{ "uri": long }, { "uri": long }] } } }));
    assert_eq!((slave.tools(), slave.names(ListKind::Resources)), (vec!["one".to_owned()], vec![]));
    assert!(slave.degraded().contains("200 bytes"), "{}", slave.degraded());
    assert!(slave.announced.take_refusals().len() == 1 && slave.announced.take_refusals().is_empty());
    slave.send(&json!({ "backend": "a", "lists": { "resources": null } }));
    slave.send(&tools("b", &["two"]));
    assert_eq!((slave.tools(), slave.degraded()), (vec!["one".to_owned(), "two".to_owned()], String::new()));
}

#[test]
fn all_catalogs_together_are_bounded_and_a_code_s_replicas_share_what_they_offer_alike() {
    let total = budget(1000);
    let [one, two] = [(); 2].map(|()| CatalogAccount::new(Arc::clone(&total), 4));
    let names: Vec<String> = (0..40).map(|n| format!("tool-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut replicas = [(); 3].map(|()| slave(&one, unlimited()));
    for replica in &mut replicas {
        replica.send(&tools("a", &names));
        assert_eq!(replica.tools().len(), 40);
    }
    let used = total.used.load(Ordering::Acquire);
    assert!((500..1000).contains(&used) && one.usage() == (used, 40), "{used}: the list counts once");
    let mut other = slave(&two, unlimited());
    other.send(&tools("a", &names));
    assert!(other.tools().is_empty() && other.degraded().contains("MAX_CATALOG_BYTES"));
    drop(replicas);
    other.send(&tools("a", &names));
    assert_eq!(other.tools().len(), 40, "what was given back can be had");
}

#[test]
fn changes_beyond_the_pace_wait_and_only_the_newest_is_taken() {
    let account = CatalogAccount::new(budget(MEBI), 1);
    let mut slave = slave(&account, CodeLimits { catalog_changes: 2, ..CodeLimits::default() });
    slave.send(&tools("a", &["first"]));
    slave.complete();
    assert_eq!(slave.send(&tools("a", &["x"])), Received::Changed);
    assert_eq!(slave.send(&tools("a", &["x"])), Received::Unchanged, "a repetition costs nothing");
    assert_eq!(slave.send(&tools("b", &["y"])), Received::Changed);
    let Received::Later(next) = slave.send(&tools("a", &["1"])) else { panic!("the pace is used up") };
    assert!(next > slave.now && next <= slave.now + Duration::from_secs(30));
    for n in 0..10_000 {
        let waits = matches!(slave.send(&tools("a", &[&n.to_string()])), Received::Later(_));
        assert!(waits && account.usage().0 < 200, "only the newest waits");
    }
    assert_eq!(slave.tools(), ["x", "y"]);
    slave.send(&json!({ "backend": "b", "gone": true }));
    assert_eq!(slave.pass(), Received::Changed);
    assert_eq!(slave.tools(), ["9999"]);
    assert_eq!(slave.pass(), Received::Unchanged);
}

#[test]
fn what_waits_is_bounded_like_what_is_there() {
    let account = CatalogAccount::new(budget(MEBI), 1);
    let limits = CodeLimits { catalog_changes: 1, catalog_bytes: 100, ..CodeLimits::default() };
    let mut slave = slave(&account, limits);
    slave.complete();
    slave.send(&tools("a", &["x"]));
    let long = "y".repeat(90);
    slave.send(&tools("b", &[&long]));
    slave.send(&tools("a", &["z"]));
    assert!(account.usage().0 < 100);
    slave.pass();
    assert_eq!(slave.tools(), ["z"]);
    assert!(slave.degraded().contains("backend \"b\"") && slave.degraded().contains("100 bytes"));
}

#[test]
fn a_part_that_was_not_read_takes_its_backend_or_everything_away() {
    let account = CatalogAccount::new(budget(MEBI), 1);
    let mut slave = slave(&account, unlimited());
    slave.send(&tools("a", &["x"]));
    slave.send(&tools("b", &["y"]));
    let refusal = || CatalogRefusal::Bytes(1);
    slave.announced.refuse_unread(br#"{"backend":"a","lists":{"too"#, refusal());
    assert_eq!(slave.tools(), ["y"]);
    assert!(slave.degraded().contains("a part of the catalog of backend \"a\""), "{}", slave.degraded());
    slave.announced.refuse_unread(br#"{"backend":"a","lists":{"too"#, refusal());
    assert_eq!(slave.announced.take_refusals().len(), 1, "reported once");
    slave.send(&tools("a", &["x"]));
    assert_eq!((slave.tools().len(), slave.degraded()), (2, String::new()));
    slave.announced.refuse_unread(br#"{"lists":{"#, refusal());
    assert!(slave.tools().is_empty() && slave.degraded().contains("the catalog is left out"));
    slave.announced.begin();
    slave.send(&tools("a", &["x"]));
    assert_eq!((slave.tools().len(), slave.degraded()), (1, String::new()));
}

#[test]
fn merged_definitions_are_shared_and_not_copied() {
    let account = CatalogAccount::new(budget(MEBI), 2);
    let [mut one, mut two] = [(); 2].map(|()| slave(&account, unlimited()));
    one.send(&tools("a", &["x"]));
    two.send(&tools("other", &["x"]));
    let merged = |slave: &Slave| -> Catalog { slave.announced.merge() };
    assert!(Arc::ptr_eq(&merged(&one).tools[0], &merged(&two).tools[0]));
}
