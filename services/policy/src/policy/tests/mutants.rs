//! Mutation tests of the decision: a copy of it is the same as the real one for random rules and requests, and each way to get one step of the
//! copy wrong is found by a short table of requests. So a test that passes says something of each step.

use super::*;

/// A step of the decision that is done wrong; `None`: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    None,
    /// Denials do not count.
    DenialsIgnored,
    /// What is allowed cannot be denied.
    AllowanceWins,
    /// An open policy is open for methods of extensions, too.
    MethodsOpen,
    /// Every policy is open.
    AlwaysOpen,
    /// No policy is open.
    NeverOpen,
    /// Denied arguments do not count.
    DeniedArgumentsIgnored,
    /// Denied arguments deny what is listed.
    DeniedArgumentsInLists,
    /// Denied arguments hide.
    ForbiddenHides,
    /// Scopes do not count.
    ScopesIgnored,
    /// A scope that is missing hides.
    ChallengeHides,
    /// Conditions on arguments do not count.
    ArgumentsIgnored,
    /// Conditions on arguments fail in lists.
    ArgumentsInLists,
    /// The first rule that allows decides.
    FirstRuleDecides,
    /// The last rule that allows decides.
    LastRuleDecides,
    /// An open policy denies what no rule names.
    OpenDenies,
    /// In an open policy a rule with conditions limits nothing.
    OpenUnlimited,
}

use Mutant as M;

const MUTANTS: [Mutant; 16] = [
    M::DenialsIgnored,
    M::AllowanceWins,
    M::MethodsOpen,
    M::AlwaysOpen,
    M::NeverOpen,
    M::DeniedArgumentsIgnored,
    M::DeniedArgumentsInLists,
    M::ForbiddenHides,
    M::ScopesIgnored,
    M::ChallengeHides,
    M::ArgumentsIgnored,
    M::ArgumentsInLists,
    M::FirstRuleDecides,
    M::LastRuleDecides,
    M::OpenDenies,
    M::OpenUnlimited,
];

/// What a decision is made of.
struct Question<'a> {
    kind: Option<SubjectKind>,
    client: &'a ClientRules,
    target: &'a RuleSet,
    arguments: Option<&'a RuleSet>,
}

/// The copy of [`Policy::decide`].
fn copy(policy: &Policy, question: &Question<'_>, mutant: Mutant) -> Decision {
    let Question { kind, client: ClientRules { who, scoped }, target, arguments } = *question;
    let is = |other: Mutant| mutant == other;
    let mut allowing = RuleSet::common([who, target, &policy.allow]).peekable();
    let is_allowed = allowing.peek().is_some();
    let is_denied = RuleSet::meet(who, target, &policy.deny);
    if is_denied && !is(M::DenialsIgnored) && !(is(M::AllowanceWins) && is_allowed) {
        return Decision::Hidden(RuleSet::common([who, target, &policy.deny]).next());
    }
    let is_method = kind == Some(SubjectKind::Method) && !is(M::MethodsOpen);
    let is_open = match mutant {
        M::AlwaysOpen => !is_method,
        M::NeverOpen => false,
        _ => policy.contents.fallback == Fallback::Allow && !is_method,
    };
    if !is_allowed && !is_open {
        return Decision::Hidden(None);
    }
    let denied = |rule: &usize| arguments.map_or(is(M::DeniedArgumentsInLists), |hold| hold.has(*rule));
    let forbidding = RuleSet::common([who, target, &policy.deny_arguments]).find(denied);
    if let Some(rule) = forbidding.filter(|_| !is(M::DeniedArgumentsIgnored)) {
        return if is(M::ForbiddenHides) { Decision::Hidden(Some(rule)) } else { Decision::Forbidden(rule) };
    }
    let decide = |rule: usize| {
        let in_lists = !is(M::ArgumentsInLists);
        let has_arguments = is(M::ArgumentsIgnored)
            || !policy.arguments.has(rule)
            || arguments.map_or(in_lists, |hold| hold.has(rule));
        match (has_arguments, scoped.has(rule) || is(M::ScopesIgnored)) {
            (true, true) => Decision::Allowed,
            (true, false) if is(M::ChallengeHides) => Decision::Hidden(Some(rule)),
            (true, false) => Decision::Challenge(rule),
            (false, _) => Decision::Forbidden(rule),
        }
    };
    if is(M::OpenUnlimited) && is_open {
        return Decision::Allowed;
    }
    let otherwise = if is(M::OpenDenies) { Decision::Hidden(None) } else { Decision::Allowed };
    let mut decisions = allowing.map(decide);
    let decision = match mutant {
        M::FirstRuleDecides => decisions.next(),
        M::LastRuleDecides => decisions.last(),
        _ => decisions.reduce(Decision::or),
    };
    decision.unwrap_or(otherwise)
}

const CLOSED: &str = "
allow:
  - { who: { group: dev }, tools: [read, push] }
  - { who: { group: dev }, tools: deploy, arguments: { pointer: /env, equals: test } }
  - { who: { group: dev }, tools: deploy, requires_scope: deploy }
  - { who: { group: dev }, tools: write, requires_scope: write }
  - { who: { group: dev }, tools: [write, patch] }
  - { who: { group: dev }, tools: patch, requires_scope: write }
  - { who: { group: dev }, tools: format, arguments: { pointer: /disk, equals: spare } }
  - { who: { group: dev }, tools: admin, requires_scope: admin }
deny:
  - { who: { group: intern }, tools: push }
  - { tools: read, arguments: { pointer: /file, equals: secret } }
";

const OPEN: &str = "
default: allow
allow:
  - { who: anyone, tools: deploy, arguments: { pointer: /env, equals: test } }
deny:
  - { who: { group: intern }, tools: push }
";

/// Policy, groups of the client, kind and name, arguments (`None`: a list), and the decision.
type Row = (&'static str, &'static [&'static str], &'static str, Option<&'static str>, &'static str);

/// Requests of the table.
const TABLE: [Row; 22] = [
    (CLOSED, &["dev"], "read", Some("{}"), "allow"),
    (CLOSED, &["dev"], "read", Some(r#"{"file":"secret"}"#), "forbidden"),
    (CLOSED, &["dev"], "read", None, "allow"),
    (CLOSED, &["dev"], "push", Some("{}"), "allow"),
    (CLOSED, &["dev", "intern"], "push", Some("{}"), "deny"),
    (CLOSED, &["dev"], "deploy", Some(r#"{"env":"test"}"#), "allow"),
    (CLOSED, &["dev"], "deploy", Some(r#"{"env":"prod"}"#), "challenge"),
    (CLOSED, &["dev"], "format", Some(r#"{"disk":"spare"}"#), "allow"),
    (CLOSED, &["dev"], "format", Some(r#"{"disk":"main"}"#), "forbidden"),
    (CLOSED, &["dev"], "format", None, "allow"),
    (CLOSED, &["dev"], "write", Some("{}"), "allow"),
    (CLOSED, &["dev"], "patch", Some("{}"), "allow"),
    (CLOSED, &["dev"], "admin", Some("{}"), "challenge"),
    (CLOSED, &["dev"], "drop", Some("{}"), "deny"),
    (CLOSED, &["ops"], "read", Some("{}"), "deny"),
    (CLOSED, &["dev"], "x/method", Some("{}"), "deny"),
    (OPEN, &["dev"], "drop", Some("{}"), "allow"),
    (OPEN, &["dev"], "deploy", Some(r#"{"env":"test"}"#), "allow"),
    (OPEN, &["dev"], "deploy", Some(r#"{"env":"prod"}"#), "forbidden"),
    (OPEN, &["intern"], "push", Some("{}"), "deny"),
    (OPEN, &["dev"], "push", Some("{}"), "allow"),
    (OPEN, &["dev"], "x/method", Some("{}"), "deny"),
];

/// Returns the numbers of the table's rows for which a mutant decides otherwise than the row says.
fn found_by(mutant: Mutant) -> Vec<usize> {
    let differs = |row: &usize| {
        let (text, groups, name, arguments, expected) = TABLE[*row];
        let policy = parse(text);
        let client = policy.client_rules(&member(groups));
        let kind = if name.contains('/') { SubjectKind::Method } else { SubjectKind::Tool };
        let labels = BTreeMap::new();
        let place = Place { code: "c", labels: &labels };
        let target = policy.target(&Subject::named(kind, name, name), place, None);
        let message = arguments.map(|arguments| format!(r#"{{"params":{{"arguments":{arguments}}}}}"#));
        let arguments = message.map(|message| policy.arguments(&client, message.as_bytes()));
        let question =
            Question { kind: Some(kind), client: &client, target: &target, arguments: arguments.as_ref() };
        if mutant == M::None {
            let real = policy.decide(Some(kind), &client, &target, arguments.as_ref());
            assert_eq!(real.as_str(), expected, "row {row}");
        }
        copy(&policy, &question, mutant).as_str() != expected
    };
    (0..TABLE.len()).filter(differs).collect()
}

#[test]
fn each_wrong_step_of_the_decision_is_found_by_the_table() {
    assert_eq!(found_by(M::None), Vec::<usize>::new());
    for mutant in MUTANTS {
        assert!(!found_by(mutant).is_empty(), "{mutant:?} survives");
    }
}

proptest! {
    #[test]
    fn the_copy_is_the_decision(
        open in any::<bool>(),
        bits in proptest::array::uniform4(any::<u16>()),
        shown in any::<bool>(),
        kind in 0..3_usize,
    ) {
        let policy = parse(if open { OPEN } else { CLOSED });
        let set = |bits: u16| RuleSet::of(policy.rules(), |rule| bits >> rule & 1 == 1);
        let [who, scoped, target, arguments] = bits.map(set);
        let client = ClientRules { who, scoped };
        let kind = [None, Some(SubjectKind::Tool), Some(SubjectKind::Method)][kind];
        let arguments = shown.then_some(&arguments);
        let question = Question { kind, client: &client, target: &target, arguments };
        prop_assert_eq!(
            copy(&policy, &question, M::None),
            policy.decide(kind, &client, &target, arguments)
        );
    }
}
