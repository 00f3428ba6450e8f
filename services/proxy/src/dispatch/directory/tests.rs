//! Tests of the directory: what clients are listed, and where their calls may go.

use protocol::link::handshake::{PROTOCOL_NAME, SlaveHello};
use protocol::link::limits::LinkLimits;
use protocol::mcp::catalog::Catalog;
use runtime::secret::SecretSet;

use super::*;
use crate::access::{Announced, CodeStore, CodesFile};
use crate::config::{RetryPolicy, ToolConflict};
use crate::dispatch::policies::Policies;
use crate::limits::table::RateLimits;
use crate::routes::Routes;

/// Slaves of codes, and the directory of their tools.
struct Fleet {
    codes: Arc<CodeStore>,
    slaves: Vec<Arc<Slave>>,
}

impl Fleet {
    fn new(codes: &str) -> Self {
        let file = CodesFile::parse(codes).unwrap();
        Self { codes: CodeStore::new(SecretSet::new(["list"]), Some(&file)), slaves: Vec::new() }
    }

    /// Links a slave with this code and catalog.
    fn link(&mut self, code: &str, name: &str, tools: &str) {
        let key = self.slaves.len() as u64 + 1;
        let hello = SlaveHello {
            name: PROTOCOL_NAME.into(),
            instance: format!("{key:016x}"),
            slave_name: name.into(),
            window: 65_536,
            ..SlaveHello::default()
        };
        let catalog = Catalog::decode(format!("{{\"tools\":[{tools}]}}").as_bytes()).unwrap();
        let slave = Slave::for_test(&hello, key, LinkLimits::default(), catalog);
        slave.regrant_for_test(self.codes.authorize(code, None, Announced::default()).unwrap());
        self.slaves.push(slave);
    }

    fn build(&self, conflict: ToolConflict) -> (Directory, Listing) {
        let ejection = EjectionPolicy { after: 5, base: std::time::Duration::from_secs(10) };
        let balance = crate::config::BalanceConfig::for_test();
        let policies = Policies { conflict, ejection, retry: RetryPolicy::Idempotent, balance };
        let (routes, limits, codes) = (Routes::default(), RateLimits::default(), self.codes.current());
        let precedence = codes.precedence();
        let settings = PoolSettings { precedence, routes: &routes, policies: &policies, limits: &limits };
        Directory::build(&self.slaves, &settings, &Directory::default())
    }
}

fn names(listing: &Listing) -> Vec<String> {
    let tools: Vec<serde_json::Value> = serde_json::from_slice(&listing.tools).unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn members(directory: &Directory, tool: &str) -> Vec<String> {
    let pool = directory.pool(tool).unwrap();
    pool.members.iter().map(|slave| slave.name.clone()).collect()
}

#[test]
fn slaves_of_unnamed_codes_with_the_same_schema_are_one_pool_whatever_else_they_say() {
    let mut fleet = Fleet::new("second\n");
    fleet.link(
        "second",
        "b",
        r#"{"name":"t","description":"reworded","inputSchema":{"q":2,"p":1.0,"properties":{"title":{"title":"New"}}}},{"name":"u"}"#,
    );
    fleet.link(
        "list",
        "a",
        r#"{"name":"t","description":"old","inputSchema":{"p":1,"q":2,"properties":{"title":{"description":"old"}},"title":"T"},"annotations":{"readOnlyHint":true}}"#,
    );
    let (directory, listing) = fleet.build(ToolConflict::Namespace);
    assert_eq!(
        (names(&listing), members(&directory, "t")),
        (vec!["t".to_owned(), "u".to_owned()], vec!["a".to_owned(), "b".to_owned()])
    );
    assert!(directory.conflicts().is_empty());
    let text = String::from_utf8(listing.tools.to_vec()).unwrap();
    assert!(
        text.contains("old") && !text.contains("reworded") && !text.contains("New"),
        "the owner's text: {text}"
    );
    assert_eq!(directory.pool("t").unwrap().max_retries, 0, "not all say that it may be repeated");
}

#[test]
fn another_definition_is_shown_with_its_provider_or_refused() {
    let mut fleet = Fleet::new("");
    for (name, version) in [("b", 1), ("a", 2), ("c", 1)] {
        fleet.link("list", name, &format!("{{\"name\":\"t\",\"inputSchema\":{{\"v\":{version}}}}}"));
    }
    let (directory, listing) = fleet.build(ToolConflict::Namespace);
    assert_eq!(names(&listing), ["t", "b__t"]);
    assert_eq!(
        (members(&directory, "t"), members(&directory, "b__t")),
        (vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()])
    );
    assert_eq!(&*directory.pool("b__t").unwrap().own_name, "t");
    assert_eq!(directory.conflicts()[0].shown, ["t", "b__t"]);
    let (directory, listing) = fleet.build(ToolConflict::Refuse);
    assert!(names(&listing).is_empty());
    assert!(directory.explain("t").contains("TOOL_CONFLICT=refuse"), "{}", directory.explain("t"));
}

#[test]
fn an_exclusive_name_is_nobody_else_s_whether_its_owner_is_there_or_not() {
    let mut fleet = Fleet::new(
        "- {code: own, name: pay, provide: [{tool: t, exclusive: true}]}\n- {code: other, name: lab}\n",
    );
    fleet.link("list", "a", r#"{"name":"t"}"#);
    fleet.link("other", "lab-1", r#"{"name":"t"}"#);
    let (directory, listing) = fleet.build(ToolConflict::Namespace);
    assert_eq!(names(&listing), ["a__t", "lab__t"]);
    let explained = directory.explain("t");
    assert!(explained.contains("\"pay\"") && explained.contains("lab__t or a__t"), "{explained}");
    fleet.link("own", "pay", r#"{"name":"t"}"#);
    let (directory, listing) = fleet.build(ToolConflict::Namespace);
    assert_eq!(names(&listing), ["a__t", "lab__t", "t"]);
    assert_eq!(members(&directory, "t"), ["pay"]);
    assert_eq!(names(&fleet.build(ToolConflict::Refuse).1), ["t"], "the owner's stays");
}

#[test]
fn definitions_that_cannot_be_compared_are_tools_of_their_own() {
    let mut fleet = Fleet::new("");
    let twice = r#"{"name":"t","inputSchema":{"a":1,"a":1}}"#;
    fleet.link("list", "a", twice);
    fleet.link("list", "b", twice);
    let (directory, listing) = fleet.build(ToolConflict::Namespace);
    assert_eq!(names(&listing), ["t", "b__t"]);
    assert_eq!((members(&directory, "t").len(), members(&directory, "b__t").len()), (1, 1));
}
