//! Tests of decisions: what the rules say in words, and what the compiled form makes of them.

mod mutants;

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::side::Side;

fn parse(text: &str) -> Policy {
    Policy::parse(text, Side::Proxy).unwrap()
}

fn key(name: &'static str) -> Requester<'static> {
    Requester { key: Some(name.into()), ..Requester::default() }
}

fn member(groups: &[&str]) -> Requester<'static> {
    Requester {
        subject: Some("s".into()),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..Requester::default()
    }
}

struct Asked<'a> {
    client: Requester<'static>,
    kind: SubjectKind,
    names: [&'a str; 2],
    code: &'a str,
    arguments: &'a str,
}

fn decide(policy: &Policy, asked: &Asked<'_>) -> Decision {
    let labels = BTreeMap::from([("env".to_owned(), asked.code.to_owned())]);
    let subject = Subject::named(asked.kind, asked.names[0], asked.names[1]);
    let target = policy.target(&subject, Place { code: asked.code, labels: &labels }, None);
    let client_rules = policy.client_rules(&asked.client);
    let message = format!(r#"{{"params":{{"arguments":{}}}}}"#, asked.arguments);
    let arguments = policy.arguments(&client_rules, message.as_bytes());
    policy.decide(Some(asked.kind), &client_rules, &target, Some(&arguments))
}

fn tool(policy: &Policy, client: Requester<'static>, name: &str) -> &'static str {
    let asked = Asked { client, kind: SubjectKind::Tool, names: [name, name], code: "c", arguments: "{}" };
    decide(policy, &asked).as_str()
}

#[test]
fn what_no_rule_allows_is_denied_and_a_denial_wins() {
    let policy = parse(
        "
allow:
  - { who: { group: dev }, tools: ['git_*', ls] }
  - { who: { key: root }, tools: '*' }
  - { who: anyone, tools: ping }
deny:
  - { who: { group: intern }, tools: git_push }
  - { tools: drop_database }
",
    );
    for (client, name, expected) in [
        (Requester::default(), "ping", "allow"),
        (Requester::default(), "ls", "deny"),
        (member(&["dev"]), "git_push", "allow"),
        (member(&["dev", "intern"]), "git_push", "deny"),
        (member(&["dev", "intern"]), "git_pull", "allow"),
        (member(&["ops"]), "ls", "deny"),
        (key("root"), "anything", "allow"),
        (key("root"), "drop_database", "deny"),
        (key("roots"), "anything", "deny"),
    ] {
        assert_eq!(tool(&policy, client.clone(), name), expected, "{client:?} {name}");
    }
    for nothing in [parse(""), parse("default: deny"), Policy::nothing()] {
        assert_eq!(tool(&nothing, key("root"), "ping"), "deny");
    }
    assert!(!Policy::nothing().allows_operator(Role::Metrics, &key("root")));
}

#[test]
fn an_open_policy_denies_what_it_names_and_every_method_that_it_does_not_name() {
    let policy = parse(
        "default: allow\nallow: [{ who: anyone, methods: 'x/*' }]\ndeny: [{ tools: rm, who: { key: ci } }]",
    );
    assert_eq!(tool(&policy, key("ci"), "rm"), "deny");
    assert_eq!(tool(&policy, key("dev"), "rm"), "allow");
    let method = |name| {
        let names = [name, name];
        let asked = Asked { client: key("ci"), kind: SubjectKind::Method, names, code: "c", arguments: "{}" };
        decide(&policy, &asked).as_str()
    };
    assert_eq!((method("x/y"), method("y/x")), ("allow", "deny"));
    let all = parse("allow: [{ who: anyone }]");
    let names = ["y/x", "y/x"];
    let asked = Asked { client: key("ci"), kind: SubjectKind::Method, names, code: "c", arguments: "{}" };
    assert_eq!(decide(&all, &asked).as_str(), "deny", "a rule for everything names no extension's method");
}

#[test]
fn arguments_forbid_and_scopes_challenge_what_is_shown() {
    let policy = parse(
        "
allow:
  - { name: staging, who: anyone, tools: deploy, arguments: { pointer: /env, in: [staging, test] } }
  - { name: write, who: anyone, tools: [push, deploy], requires_scope: [git, push] }
deny:
  - { name: main, tools: push, arguments: { pointer: /branch, glob: 'main*' } }
",
    );
    let scoped = Requester { scopes: Cow::Owned(vec!["push".into(), "git".into()]), ..key("k") };
    for (client, name, arguments, expected) in [
        (key("k"), "deploy", r#"{"env":"staging"}"#, "allow"),
        (key("k"), "deploy", r#"{"env":"prod"}"#, "challenge"),
        (scoped.clone(), "deploy", r#"{"env":"prod"}"#, "allow"),
        (key("k"), "push", "{}", "challenge"),
        (scoped.clone(), "push", "{}", "allow"),
        (scoped.clone(), "push", r#"{"branch":"main"}"#, "forbidden"),
        (scoped.clone(), "push", r#"{"branch":["main"]}"#, "forbidden"),
        (scoped.clone(), "push", r#"{"branch":"a","branch":"main"}"#, "forbidden"),
        (scoped.clone(), "push", r#"{"branch":"dev"}"#, "allow"),
        (key("k"), "push", r#"{"branch":"main"}"#, "forbidden"),
    ] {
        let asked = Asked { client, kind: SubjectKind::Tool, names: [name, name], code: "c", arguments };
        assert_eq!(decide(&policy, &asked).as_str(), expected, "{name} {arguments}");
    }
    let only =
        parse("allow: [{ who: anyone, tools: deploy, arguments: { pointer: /env, equals: staging } }]");
    let asked = Asked {
        client: key("k"),
        kind: SubjectKind::Tool,
        names: ["deploy"; 2],
        code: "c",
        arguments: r#"{"env":"prod"}"#,
    };
    assert_eq!(decide(&only, &asked).as_str(), "forbidden");
}

#[test]
fn a_place_is_a_code_or_labels() {
    let policy = parse(
        "allow: [{ who: anyone, slaves: [{ code: 'prod-*', labels: { env: 'prod-*' } }, { labels: { env: test } }] }]\ndeny: [{ slaves: { code: prod-x } }]",
    );
    for (code, expected) in [("prod-a", "allow"), ("prod-x", "deny"), ("test", "allow"), ("dev", "deny")] {
        let asked =
            Asked { client: key("k"), kind: SubjectKind::Prompt, names: ["p"; 2], code, arguments: "{}" };
        assert_eq!(decide(&policy, &asked).as_str(), expected, "{code}");
    }
}

#[test]
fn a_shown_name_gives_no_more_than_the_own_name() {
    let policy = parse(
        "allow: [{ who: anyone, tools: ['git_*'] }, { who: { key: root }, tools: [team__deploy, deploy] }]",
    );
    for (names, client, expected) in [
        (["git_push", "git_push"], key("k"), "allow"),
        (["evil__git_push", "git_push"], key("k"), "deny"),
        (["git_x__rm", "rm"], key("k"), "deny"),
        (["team__deploy", "deploy"], key("root"), "allow"),
    ] {
        let asked = Asked { client, kind: SubjectKind::Tool, names, code: "c", arguments: "{}" };
        assert_eq!(decide(&policy, &asked).as_str(), expected, "{names:?}");
    }
}

#[test]
fn tests_of_the_file_tell_what_the_policy_decides() {
    let policy = parse(
        "
allow: [{ name: devs, who: { group: dev }, tools: 'git_*' }]
deny: [{ name: unsafe, tools: '*', annotations: { destructiveHint: true } }]
operators: { metrics: { key: prometheus } }
tests:
  - { who: { subject: a, groups: [dev] }, tool: git_ls, annotations: '{\"readOnlyHint\":true}', expect: allow }
  - { who: { subject: a, groups: [dev] }, tool: git_push, expect: allow }
  - { name: nobody, who: nobody, tool: git_ls, expect: deny }
",
    );
    let reports = policy.run_tests();
    let passes: Vec<bool> = reports.iter().map(crate::TestReport::passes).collect();
    assert_eq!(passes, [true, false, true]);
    assert_eq!((reports[1].rule.as_deref(), reports[1].line), (Some("unsafe"), 7));
    assert!(policy.allows_operator(Role::Metrics, &key("prometheus")));
    assert!(!policy.allows_operator(Role::Api, &key("prometheus")));
}

#[test]
fn all_problems_of_a_file_are_reported_with_their_lines() {
    let text = "\
default: sometimes
allow:
  - tools: x
  - { who: {}, tools: x }
  - { who: everyone }
  - { who: anyone, annotations: { readOnlyHint: true } }
  - { who: { group: a, gruop: b } }
  - { who: anyone, arguments: { pointer: x, equals: 1 } }
  - { who: anyone, arguments: { pointer: /x, equals: 1, glob: a } }
  - { who: anyone, arguments: { pointer: /x, equals: 9007199254740993 } }
  - { who: anyone, slaves: {} }
  - { who: anyone, requires_scope: 'a b' }
deny:
  - { requires_scope: x }
  - { annotations: {} }
tests:
  - { who: nobody, expect: allow }
  - { who: nobody, tool: x, expect: yes }
denny: []
";
    let reported: Vec<String> =
        Policy::parse(text, Side::Proxy).unwrap_err().0.iter().map(ToString::to_string).collect();
    for line in [
        "line 1 default",
        "line 3 allow[0] lacks \"who\"",
        "line 4 allow[1].who",
        "line 5 allow[2].who",
        "line 6 allow[3] has the unknown key \"annotations\"",
        "line 7 allow[4].who has the unknown key \"gruop\"",
        "line 8 allow[5].arguments.pointer",
        "line 9 allow[6].arguments",
        "line 10 allow[7].arguments.equals",
        "line 11 allow[8].slaves",
        "line 12 allow[9].requires_scope",
        "line 14 deny[0] has the unknown key",
        "line 15 deny[1].annotations",
        "line 17 tests[0]",
        "line 18 tests[1].expect",
        "line 19 has the unknown key \"denny\"",
    ] {
        assert!(reported.iter().any(|one| one.starts_with(line)), "{line}\n{}", reported.join("\n"));
    }
    let slaves = "allow: [{ who: anyone, slaves: { code: a } }]";
    assert!(Policy::parse(slaves, Side::Proxy).is_ok() && Policy::parse(slaves, Side::Slave).is_err());
}

/// An empty list where a rule is limited would be no limit (`arguments`, `requires_scope`), a denial of nobody (`who`) or of nothing.
#[test]
fn an_empty_list_and_an_empty_pattern_limit_nothing_and_are_refused() {
    let wholes = "allow: []\ndeny: []\nquotas: []\ntests: []\n";
    assert!(Policy::parse(wholes, Side::Proxy).is_ok(), "no rules are rules");
    let of = |key: &str, value: &str| match key {
        "who" => format!("deny: [{{ who: {value} }}]"),
        "key" | "group" | "subject" | "issuer" | "scope" | "certificate" => {
            format!("deny: [{{ who: {{ {key}: {value} }} }}]")
        }
        "equals" | "in" | "glob" => {
            format!("allow: [{{ who: anyone, arguments: {{ pointer: /x, {key}: {value} }} }}]")
        }
        "code" => format!("allow: [{{ who: anyone, slaves: {{ code: {value} }} }}]"),
        "label" => format!("allow: [{{ who: anyone, slaves: {{ labels: {{ env: {value} }} }} }}]"),
        "metrics" | "api" | "ui" | "operate" => format!("operators: {{ {key}: {value} }}"),
        "quota" => format!("quotas: [{{ name: a, calls: 1, who: anyone, tools: {value} }}]"),
        _ => format!("allow: [{{ who: anyone, {key}: {value} }}]"),
    };
    let names = ["key", "group", "subject", "issuer", "scope", "certificate", "code", "tools", "prompts"];
    let names = names.into_iter().chain(["resources", "methods", "quota"]);
    for key in names.clone() {
        assert!(Policy::parse(&of(key, "''"), Side::Proxy).is_err(), "{key}: ''");
        assert!(Policy::parse(&of(key, "[a, '']"), Side::Proxy).is_err(), "{key}: [a, '']");
        assert!(Policy::parse(&of(key, "[a]"), Side::Proxy).is_ok(), "{key}");
    }
    for key in ["equals", "in", "glob", "label"] {
        assert!(Policy::parse(&of(key, "''"), Side::Proxy).is_ok(), "{key}: an empty text is a value");
    }
    let others = ["who", "slaves", "arguments", "requires_scope", "equals", "in", "glob", "label"];
    let roles = ["metrics", "api", "ui", "operate"];
    for key in names.chain(others).chain(roles) {
        let problems = Policy::parse(&of(key, "[]"), Side::Proxy).err().map(|error| error.to_string());
        assert!(problems.is_some_and(|text| text.contains("at least one entry")), "{key}: []");
    }
}

#[test]
fn clients_that_no_rule_tells_apart_are_equal() {
    let policy = parse("allow: [{ who: { group: dev }, tools: a }]");
    let (one, two) =
        (policy.client_rules(&member(&["dev", "x"])), policy.client_rules(&member(&["dev", "y"])));
    assert_eq!(one, two);
    assert!(Arc::ptr_eq(&one, &policy.client_rules(&member(&["dev", "x"]))));
    assert_ne!(one, policy.client_rules(&member(&["x"])));
}

/// A rule as the property below makes it.
#[derive(Clone, Debug)]
struct Plain {
    allows: bool,
    keys: Vec<usize>,
    tools: Vec<usize>,
    codes: Vec<usize>,
    argument: Option<usize>,
    scope: bool,
}

const KEYS: [&str; 3] = ["k0", "k1", "k2"];
const TOOLS: [&str; 3] = ["t0", "t1", "t2"];
const CODES: [&str; 2] = ["c0", "c1"];
const VALUES: [&str; 2] = ["v0", "v1"];

impl Plain {
    fn yaml(&self) -> String {
        let list = |names: &[&str], picked: &[usize]| {
            picked.iter().map(|at| names[*at]).collect::<Vec<_>>().join(", ")
        };
        let mut text = format!(
            "{{ who: {{ key: [{}] }}, tools: [{}], slaves: {{ code: [{}] }}",
            list(&KEYS, &self.keys),
            list(&TOOLS, &self.tools),
            list(&CODES, &self.codes)
        );
        if let Some(value) = self.argument {
            text.extend([", arguments: { pointer: /a, equals: ", VALUES[value], " }"]);
        }
        if self.scope && self.allows {
            text += ", requires_scope: s";
        }
        text + " }"
    }
}

/// The plain reading of the rules, one after the other.
fn read(rules: &[Plain], open: bool, asked: [usize; 4], has_scope: bool) -> &'static str {
    let [key, tool, code, value] = asked;
    let about =
        |rule: &&Plain| rule.keys.contains(&key) && rule.tools.contains(&tool) && rule.codes.contains(&code);
    let holds = |rule: &&Plain| rule.argument.is_none_or(|wanted| wanted == value);
    let about: Vec<&Plain> = rules.iter().filter(about).collect();
    let (allow, deny): (Vec<&Plain>, Vec<&Plain>) = about.into_iter().partition(|rule| rule.allows);
    if deny.iter().any(|rule| rule.argument.is_none()) || (allow.is_empty() && !open) {
        return "deny";
    }
    if deny.iter().any(holds) {
        return "forbidden";
    }
    let in_scope = |rule: &&Plain| has_scope || !rule.scope;
    if allow.is_empty() || allow.iter().any(|rule| holds(rule) && in_scope(rule)) {
        "allow"
    } else if allow.iter().any(holds) {
        "challenge"
    } else {
        "forbidden"
    }
}

fn plain_rule() -> impl Strategy<Value = Plain> {
    let some = |most: usize| proptest::collection::vec(0..most, 1..3);
    let parts = (any::<bool>(), some(3), some(3), some(2), proptest::option::of(0..2_usize), any::<bool>());
    parts.prop_map(|(allows, keys, tools, codes, argument, scope)| Plain {
        allows,
        keys,
        tools,
        codes,
        argument,
        scope,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_decision_by_bit_sets_is_the_plain_reading_of_the_rules(
        rules in proptest::collection::vec(plain_rule(), 0..40),
        open in any::<bool>(),
        asked in (0..3_usize, 0..3_usize, 0..2_usize, 0..2_usize),
        has_scope in any::<bool>(),
    ) {
        let section = |allows: bool| {
            let of = rules.iter().filter(|rule| rule.allows == allows);
            of.map(|rule| format!("  - {}\n", rule.yaml())).collect::<Vec<_>>().concat()
        };
        let fallback = if open { "allow" } else { "deny" };
        let policy = parse(&format!("default: {fallback}\nallow:\n{}deny:\n{}", section(true), section(false)));
        let (key_at, tool_at, code, value) = asked;
        let scopes = if has_scope { vec!["s".to_owned()] } else { Vec::new() };
        let request = Asked {
            client: Requester { scopes: Cow::Owned(scopes), ..key(KEYS[key_at]) },
            kind: SubjectKind::Tool,
            names: [TOOLS[tool_at]; 2],
            code: CODES[code],
            arguments: &format!(r#"{{"a":"{}"}}"#, VALUES[value]),
        };
        let expected = read(&rules, open, [key_at, tool_at, code, value], has_scope);
        prop_assert_eq!(decide(&policy, &request).as_str(), expected);
    }
}
