//! Tests of ownership: properties of names and pools for random sets of codes, slaves and definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use protocol::mcp::canonical;
use runtime::secret::SecretSet;
use serde_json::value::RawValue;

use super::super::offer::Schema;
use super::*;
use crate::access::{Announced, CodeStore, CodesFile, Grant};

/// Codes: `list1` and `list2` without names; `a`, `b`, `c` named, two codes of the name `a`.
const NAMED: [(&str, &str); 4] = [("a1", "a"), ("a2", "a"), ("b1", "b"), ("c1", "c")];

const TOOLS: [&str; 9] = ["t", "u", "b__t", "a__t", "one__t", "one__b__t", "t.x", "__", "t_x"];

const SLAVES: [&str; 6] = ["one", "two", "a", "b", "b-1", "s.x"];

/// A definition that a slave offers.
#[derive(Clone, Debug, PartialEq)]
struct Given {
    code: &'static str,
    slave: &'static str,
    tool: String,
    schema: u8,
    text: u8,
}

impl Given {
    /// The same with the first code of its name: which of two codes of one name is which does not count.
    fn by_name(&self) -> Self {
        Self { code: if self.code == "a2" { "a1" } else { self.code }, ..self.clone() }
    }

    fn definition(&self) -> Box<RawValue> {
        // The last schema has no canonical form.
        let schema = if self.schema == 3 {
            r#"{"x":1,"x":1}"#.to_owned()
        } else {
            format!(r#"{{"x":{},"description":"{}"}}"#, self.schema, self.text)
        };
        let text = format!(
            r#"{{"name":{},"description":"{}","inputSchema":{schema}}}"#,
            serde_json::to_string(&self.tool).unwrap(),
            self.text
        );
        RawValue::from_string(text).unwrap()
    }
}

fn given() -> impl Strategy<Value = Vec<Given>> {
    let codes = select(vec!["list1", "list2", "a1", "a2", "b1", "c1"]);
    let tool = prop_oneof![
        8 => select(TOOLS.to_vec()).prop_map(str::to_owned),
        1 => "[a-z_.]{50,120}",
    ];
    let one = (codes, select(SLAVES.to_vec()), tool, 0..4_u8, 0..2_u8);
    let one = one.prop_map(|(code, slave, tool, schema, text)| Given { code, slave, tool, schema, text });
    prop::collection::vec(one, 0..14)
}

/// `provide` of the codes named a, b and c, the same for both codes of a name.
fn provide() -> impl Strategy<Value = [Vec<(&'static str, bool)>; 3]> {
    let items = || prop::collection::vec((select(vec!["t", "u", "b__t", "one__*"]), any::<bool>()), 0..3);
    [items(), items(), items()]
}

fn codes(provide: &[Vec<(&str, bool)>; 3]) -> Arc<CodeStore> {
    let mut file = "codes:\n".to_owned();
    for (code, name) in NAMED {
        let place = ["a", "b", "c"].iter().position(|known| *known == name).unwrap();
        let items = provide[place]
            .iter()
            .map(|(tool, exclusive)| format!("{{tool: '{tool}', exclusive: {exclusive}}}"));
        let items: Vec<String> = items.collect();
        writeln!(file, "- {{code: {code}, name: {name}, provide: [{}]}}", items.join(", ")).unwrap();
    }
    CodeStore::new(SecretSet::new(["list1", "list2"]), Some(&CodesFile::parse(&file).unwrap()))
}

/// A tool as a test compares it: shown name, and the members as they were given.
type Shown = (String, Vec<Given>);

struct World {
    codes: Arc<CodeStore>,
    given: Vec<Given>,
    grants: Vec<Grant>,
    definitions: Vec<Box<RawValue>>,
}

impl World {
    fn new(codes: &Arc<CodeStore>, given: &[Given]) -> Self {
        let grant = |given: &Given| codes.authorize(given.code, None, Announced::default()).unwrap();
        Self {
            codes: Arc::clone(codes),
            given: given.to_vec(),
            grants: given.iter().map(grant).collect(),
            definitions: given.iter().map(Given::definition).collect(),
        }
    }

    fn assign(&self, conflict: ToolConflict) -> Ownership {
        let current = self.codes.current();
        let precedence = current.precedence();
        let parts = self.given.iter().zip(&self.grants).zip(&self.definitions);
        let offers: Vec<Offer<'_>> = parts
            .map(|((given, grant), definition)| {
                let digest = canonical::digest(definition);
                let schema = digest.and_then(|_| canonical::schema_digest(definition, "inputSchema"));
                Offer {
                    kind: Kind::Tool,
                    name: &given.tool,
                    identity: grant.identity(),
                    rank: precedence.rank(grant.identity()),
                    domain: grant.pool_domain(&given.tool),
                    slave: given.slave,
                    digest,
                    schema: schema.map(Schema::Digest),
                    text: definition.get(),
                    position: 0,
                }
            })
            .collect();
        assign(&offers, precedence, conflict)
    }

    /// The groups in the order of their shown names.
    fn shown(&self, conflict: ToolConflict) -> Vec<Shown> {
        let groups = self.assign(conflict).groups;
        let mut shown: Vec<Shown> = groups
            .into_iter()
            .map(|group| {
                (group.shown, group.members.iter().map(|number| self.given[*number].by_name()).collect())
            })
            .collect();
        shown.sort_by(|one, other| one.0.cmp(&other.0));
        shown
    }
}

/// Offers in another order.
fn shuffled() -> impl Strategy<Value = (Vec<Given>, Vec<Given>)> {
    given().prop_flat_map(|given| (Just(given.clone()), Just(given).prop_shuffle()))
}

proptest! {
    #[test]
    fn the_order_of_arrival_changes_nothing((first, second) in shuffled(), provide in provide(), refuse: bool) {
        let codes = codes(&provide);
        let conflict = if refuse { ToolConflict::Refuse } else { ToolConflict::Namespace };
        let (one, other) = (World::new(&codes, &first), World::new(&codes, &second));
        prop_assert_eq!(one.shown(conflict), other.shown(conflict));
    }

    #[test]
    fn shown_names_are_unique_and_derived_ones_fit(given in given(), provide in provide()) {
        let world = World::new(&codes(&provide), &given);
        let shown = world.shown(ToolConflict::Namespace);
        let names: BTreeSet<&String> = shown.iter().map(|(name, _)| name).collect();
        prop_assert_eq!(names.len(), shown.len());
        for (name, members) in &shown {
            if *name != members[0].tool {
                prop_assert!(name.len() <= protocol::mcp::shown_name::MAX_NAME_LENGTH, "{}", name);
                prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{}", name);
            }
        }
    }

    #[test]
    fn every_offer_is_shown_once_or_reported(given in given(), provide in provide(), refuse: bool) {
        let conflict = if refuse { ToolConflict::Refuse } else { ToolConflict::Namespace };
        let result = World::new(&codes(&provide), &given).assign(conflict);
        let shown = result.groups.iter().flat_map(|group| &group.members);
        let mut all: Vec<usize> = shown.chain(result.collisions.values().flat_map(|c| &c.left_out)).copied().collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..given.len()).collect::<Vec<_>>());
    }

    #[test]
    fn no_pool_reaches_beyond_its_domain_except_where_all_provide_the_tool(given in given(), provide in provide()) {
        for (_, members) in World::new(&codes(&provide), &given).shown(ToolConflict::Namespace) {
            let domain = |member: &Given| NAMED.iter().find(|(code, _)| *code == member.code).map(|(_, name)| *name);
            let domains: BTreeSet<Option<&str>> = members.iter().map(domain).collect();
            let schemas: BTreeSet<u8> = members.iter().map(|member| member.schema).collect();
            prop_assert!(schemas.len() == 1 && (!schemas.contains(&3) || members.len() == 1));
            if domains.len() > 1 {
                for name in domains {
                    let place = ["a", "b", "c"].iter().position(|known| Some(*known) == name);
                    let items = place.map(|place| &provide[place]).into_iter().flatten();
                    let mine: Vec<bool> = items
                        .filter(|(tool, _)| *tool == members[0].tool || tool.strip_suffix('*').is_some_and(|p| members[0].tool.starts_with(p)))
                        .map(|(_, exclusive)| *exclusive)
                        .collect();
                    prop_assert!(!mine.is_empty() && !mine.contains(&true), "{:?} {:?}", name, members);
                }
            }
        }
    }

    #[test]
    fn an_exclusive_name_is_its_code_s_alone(given in given(), provide in provide()) {
        let codes = codes(&provide);
        for (name, members) in World::new(&codes, &given).shown(ToolConflict::Namespace) {
            if let Some(owner) = codes.current().precedence().exclusive(&name) {
                for member in &members {
                    prop_assert!(NAMED.contains(&(member.code, owner)), "{} {:?}", name, member);
                }
            }
        }
    }

    /// Where nobody offers what the added slave offers, and nobody's literal or derived name is among its names, nothing changes.
    #[test]
    fn a_slave_of_another_domain_renames_only_what_it_offers_too(given in given(), provide in provide(), tool in "[a-z]{3,8}") {
        let others: Vec<Given> = given.iter().filter(|one| one.code != "c1").cloned().collect();
        let added = Given { code: "c1", slave: "one", tool: tool.clone(), schema: 0, text: 0 };
        let codes = codes(&provide);
        let before = World::new(&codes, &others).shown(ToolConflict::Namespace);
        let mut all = others.clone();
        all.push(added);
        let after = World::new(&codes, &all).shown(ToolConflict::Namespace);
        let unaffected = |shown: Vec<Shown>| -> BTreeMap<String, Vec<Given>> {
            shown.into_iter().filter(|(_, members)| members[0].tool != tool).collect()
        };
        prop_assert_eq!(unaffected(before), unaffected(after));
    }
}

#[test]
fn a_literal_name_that_is_another_s_shown_name_is_refused() {
    let codes = codes(&[vec![], vec![], vec![]]);
    let offer = |code, slave, tool: &str, schema| Given { code, slave, tool: tool.into(), schema, text: 0 };
    // "one" and "two" offer different tools "t": the second is shown as two__t, which a third claims as a literal name.
    let given =
        [offer("list1", "one", "t", 0), offer("list1", "two", "t", 1), offer("b1", "thief", "two__t", 1)];
    let world = World::new(&codes, &given);
    let names: Vec<String> = world.shown(ToolConflict::Namespace).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["t", "two__t"]);
    let collision = &world.assign(ToolConflict::Namespace).collisions[&(Kind::Tool, "two__t".to_owned())];
    assert_eq!((&collision.reason, &collision.left_out), (&Reason::Taken, &vec![2]));
    let alone = World::new(&codes, &given[2..]);
    assert_eq!(alone.shown(ToolConflict::Namespace)[0].0, "two__t", "harmless while it collides with nobody");
    // A name that a code provides is never another's shown name.
    let promised = self::codes(&[vec![], vec![("two__t", false)], vec![]]);
    let shown = World::new(&promised, &given).shown(ToolConflict::Namespace);
    let two = shown.iter().find(|(name, _)| name == "two__t").unwrap();
    assert_eq!(two.1[0].code, "b1");
    assert_eq!(shown.len(), 3);
}

#[test]
fn what_a_slave_calls_itself_takes_no_name_from_a_named_code() {
    let codes = codes(&[vec![], vec![], vec![]]);
    let offer = |code, slave, schema| Given { code, slave, tool: "t".into(), schema, text: 0 };
    let given = [offer("list1", "a", 0), offer("list1", "b", 1), offer("b1", "b-1", 2)];
    let shown = World::new(&codes, &given).shown(ToolConflict::Namespace);
    let by_code = |code| shown.iter().find(|(name, members)| name == "b__t" && members[0].code == code);
    assert!(by_code("b1").is_some() && by_code("list1").is_none(), "{shown:?}");
    assert_eq!(shown.len(), 3);
}
