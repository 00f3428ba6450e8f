//! Tests of the directory: what clients are listed, and where their calls may go.

use std::collections::BTreeMap;

use front::calls::HeaderMap;
use policy::Decision;
use protocol::link::handshake::{PROTOCOL_NAME, SlaveHello};
use protocol::link::limits::LinkLimits;
use protocol::mcp::catalog::{Catalog, CatalogServer, ServerFacts};
use runtime::secret::SecretSet;

use super::*;
use crate::access::{Announced, CodeStore, CodesFile};
use crate::config::{RetryPolicy, ToolConflict};
use crate::dispatch::permission;
use crate::dispatch::policies::Policies;
use crate::limits::table::RateLimits;
use crate::routes::{ClientIdentity, MatchInput, Route, Routes};

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
        let catalog = Catalog::decode(format!("{{\"tools\":[{tools}]}}").as_bytes()).unwrap();
        self.link_with(code, name, catalog);
    }

    fn link_with(&mut self, code: &str, name: &str, catalog: Catalog) {
        let key = self.slaves.len() as u64 + 1;
        let hello = SlaveHello {
            name: PROTOCOL_NAME.into(),
            instance: format!("{key:016x}"),
            slave_name: name.into(),
            window: 65_536,
            ..SlaveHello::default()
        };
        let slave = Slave::for_test(&hello, key, LinkLimits::default(), catalog);
        slave.regrant_for_test(self.codes.authorize(code, None, Announced::default()).unwrap());
        self.slaves.push(slave);
    }

    fn build(&self, conflict: ToolConflict) -> (Directory, Listing) {
        self.build_under(conflict, None)
    }

    fn build_under(&self, conflict: ToolConflict, policy: Option<&Arc<Policy>>) -> (Directory, Listing) {
        let ejection = EjectionPolicy { after: 5, base: std::time::Duration::from_secs(10) };
        let balance = crate::config::BalanceConfig::for_test();
        let policies = Policies { conflict, ejection, retry: RetryPolicy::Idempotent, balance };
        let (routes, limits, codes) = (Routes::default(), RateLimits::default(), self.codes.current());
        let precedence = codes.precedence();
        let settings =
            PoolSettings { precedence, routes: &routes, policies: &policies, limits: &limits, policy };
        Directory::build(&self.slaves, &settings, &Directory::default())
    }
}

fn names(listing: &Listing) -> Vec<String> {
    let tools: Vec<serde_json::Value> =
        serde_json::from_slice(listing.list(ListKind::Tools).entries.json()).unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn members(directory: &Directory, tool: &str) -> Vec<String> {
    let pool = directory.tool(tool).unwrap();
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
    let text = String::from_utf8(listing.list(ListKind::Tools).entries.json().to_vec()).unwrap();
    assert!(
        text.contains("old") && !text.contains("reworded") && !text.contains("New"),
        "the owner's text: {text}"
    );
    assert_eq!(directory.tool("t").unwrap().max_retries, 0, "not all say that it may be repeated");
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
    assert_eq!(&*directory.tool("b__t").unwrap().own_name, "t");
    assert_eq!(directory.conflicts()[0].shown, ["t", "b__t"]);
    let (directory, listing) = fleet.build(ToolConflict::Refuse);
    assert!(names(&listing).is_empty());
    assert!(
        directory.explain(Kind::Tool, "t").contains("TOOL_CONFLICT=refuse"),
        "{}",
        directory.explain(Kind::Tool, "t")
    );
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
    let explained = directory.explain(Kind::Tool, "t");
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

/// Returns a catalog of one backend with these lists and capabilities.
fn catalog(lists: &str, capabilities: &str) -> Catalog {
    let facts =
        ServerFacts::parse(&format!(r#"{{"version":"2025-11-25","capabilities":{capabilities}}}"#)).unwrap();
    let server = CatalogServer { backend: "b".into(), facts: Arc::new(facts) };
    Catalog { servers: vec![server], ..Catalog::decode(lists.as_bytes()).unwrap() }
}

fn found(directory: &Directory, kind: Option<Kind>, name: &str) -> Vec<String> {
    let pool = directory.find(kind, name);
    pool.map(|pool| pool.members.iter().map(|slave| slave.name.clone()).collect()).unwrap_or_default()
}

#[test]
fn prompts_and_resources_have_names_and_pools_of_their_own() {
    let mut fleet = Fleet::new("- {code: o, name: other}");
    let lists = r#"{"tools":[{"name":"t"}],"prompts":[{"name":"t","arguments":[{"name":"a"}]}],
        "resources":[{"uri":"x:1","name":"one"}],"resourceTemplates":[{"uriTemplate":"x:{id}/data","name":"data"}]}"#;
    fleet.link_with("list", "a", catalog(lists, r#"{"prompts":{},"resources":{}}"#));
    let reworded = lists.replace("\"name\":\"one\"", "\"name\":\"uno\"");
    fleet.link_with("list", "b", catalog(&reworded, r#"{"prompts":{},"resources":{}}"#));
    let others =
        r#"{"prompts":[{"name":"t"}],"resources":[{"uri":"x:1","name":"mine"},{"uri":"y:1","name":"y"}]}"#;
    fleet.link_with("o", "o", catalog(others, r#"{"prompts":{}}"#));
    let (directory, listing) = fleet.build(ToolConflict::Namespace);
    let text = |kind| String::from_utf8(listing.list(kind).entries.json().to_vec()).unwrap();
    assert_eq!(
        text(ListKind::Prompts),
        r#"[{"name":"t","arguments":[{"name":"a"}]},{"name":"other__t"}]"#,
        "the tool of this name is none of them"
    );
    assert_eq!(text(ListKind::Resources), r#"[{"uri":"x:1","name":"one"},{"uri":"y:1","name":"y"}]"#);
    assert_eq!(text(ListKind::ResourceTemplates), r#"[{"uriTemplate":"x:{id}/data","name":"data"}]"#);
    for (kind, name, slaves) in [
        (Kind::Prompt, "t", &["a", "b"][..]),
        (Kind::Prompt, "other__t", &["o"]),
        (Kind::Resource, "x:1", &["a", "b"]),
        (Kind::Resource, "y:1", &["o"]),
        (Kind::Resource, "x:7/data", &["a", "b"]),
        (Kind::Template, "x:{id}/data", &["a", "b"]),
        (Kind::Resource, "z:unlisted", &["a", "b"]),
        (Kind::Prompt, "unknown", &[]),
        (Kind::Task, "t", &[]),
    ] {
        assert_eq!(found(&directory, Some(kind), name), slaves, "{kind:?} {name}");
    }
    let conflicts: Vec<(&str, &str)> =
        directory.conflicts().iter().map(|one| (one.kind, one.name.as_str())).collect();
    assert_eq!(conflicts, [("prompt", "t"), ("resource", "x:1")]);
    assert_eq!(directory.listed().len(), 1, "the API's list is of tools");
}

#[test]
fn a_request_that_names_nothing_goes_on_where_one_owner_is_certain() {
    let mut fleet = Fleet::new("- {code: o, name: other}");
    fleet.link_with("list", "a", catalog("{}", r#"{"extensions":{"org.example/skills":{}},"resources":{}}"#));
    fleet.link_with("list", "b", catalog("{}", "{}"));
    let (directory, _) = fleet.build(ToolConflict::Namespace);
    assert_eq!(found(&directory, None, "skills/list"), ["a"]);
    assert_eq!(found(&directory, None, "events/list"), ["a", "b"], "all are of one domain");
    fleet.link_with("o", "o", catalog("{}", r#"{"resources":{}}"#));
    let (directory, listing) = fleet.build(ToolConflict::Namespace);
    assert_eq!(found(&directory, None, "skills/list"), ["a"]);
    assert_eq!(found(&directory, None, "events/list"), [""; 0]);
    assert_eq!(found(&directory, Some(Kind::Resource), "x:1"), [""; 0], "two owners");
    let capabilities = listing.introduction.capabilities(protocol::mcp::era::Era::Modern);
    assert!(capabilities.contains(r#""extensions":{"org.example/skills":{}}"#), "{capabilities}");
}

fn requester(key: &str) -> Requester<'_> {
    Requester { key: Some(key.into()), ..Requester::default() }
}

/// The slaves that a client may use of a pool, by a clearance of the pool `cleared`.
fn usable(pool: &Pool, cleared: &Pool, key: &str) -> Result<Vec<String>, Decision> {
    let access = |pool: &Pool| pool.access.as_ref().unwrap().clear(&requester(key), "t", b"{}");
    let (headers, params) = (HeaderMap::new(), BTreeMap::new());
    let input = MatchInput::new(ClientIdentity::Anonymous, &headers, &params, b"{}");
    let route = pool.routes.route(&input).unwrap().cleared(Some(access(cleared)?));
    let narrowed = permission::narrow(pool.access.as_ref(), "t", route);
    Ok(narrowed.iter().flat_map(Route::slaves).map(|slave| slave.name.clone()).collect())
}

#[test]
fn a_client_s_calls_go_to_the_slaves_that_it_may_use_and_its_lists_have_what_some_slave_may_do_for_it() {
    let mut fleet = Fleet::new("");
    for (name, env) in [("one", "test"), ("two", "prod")] {
        fleet.link("list", name, r#"{"name":"t"},{"name":"u"}"#);
        let labels = BTreeMap::from([("env".to_owned(), env.to_owned())]);
        let grant =
            fleet.codes.authorize("list", None, Announced { labels, ..Announced::default() }).unwrap();
        fleet.slaves.last().unwrap().regrant_for_test(grant);
    }
    let build = |text: &str| {
        let policy = Arc::new(Policy::parse(text, policy::Side::Proxy).unwrap());
        fleet.build_under(ToolConflict::Namespace, Some(&policy))
    };
    let text =
        "allow: [{ who: { key: dev }, tools: t, slaves: { labels: { env: test } } }, { who: { key: ops } }]";
    let (directory, listing) = build(text);
    let pool = directory.tool("t").unwrap();
    assert_eq!(usable(pool, pool, "dev").unwrap(), ["one"]);
    assert_eq!(usable(pool, pool, "ops").unwrap(), ["one", "two"]);
    assert_eq!(usable(pool, pool, "guest"), Err(Decision::Hidden(None)));
    let view = |key: &str| listing.access.as_ref().unwrap().view(&listing, &requester(key));
    assert_eq!(names(&view("dev")), ["t"]);
    assert_eq!(names(&view("ops")), ["t", "u"]);
    assert_eq!(names(&view("guest")), [""; 0]);
    // A clearance of another policy is none, even if that says the same.
    let (later, _) = build(text);
    assert_eq!(usable(later.tool("t").unwrap(), pool, "ops").unwrap(), [""; 0]);
}
