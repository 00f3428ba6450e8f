//! The form of the policy file. Must not know how rules are applied.

use runtime::document::{Cursor, Map};
use runtime::glob::Glob;

use crate::annotations::AnnotationMatch;
use crate::argument::{Argument, Test};
use crate::contents::{Contents, Fallback};
use crate::place::Places;
use crate::pointer::Pointer;
use crate::quota::{Quota, QuotaShare};
use crate::roles::Roles;
use crate::rule::{Effect, Rule};
use crate::side::Side;
use crate::subject::What;
use crate::tests_section;
use crate::who::{Conditions, Who};

/// Number of rules.
const MAX_RULES: usize = 1000;

/// Number of quotas.
const MAX_QUOTAS: usize = 100;

/// Largest whole number that YAML keeps exactly.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Reads the whole file. Problems are reported to the document.
pub(crate) fn read(root: &Cursor<'_>, side: Side) -> Contents {
    let mut keys = vec!["default", "allow", "deny", "operators", "tests"];
    // A slave is reached by several proxies, each of which counts.
    keys.extend((side == Side::Proxy).then_some("quotas"));
    let Some(top) = root.entries_of(&keys) else { return Contents::default() };
    let section = |name| top.get(name).filter(|cursor| !cursor.is_null());
    let fallback = section("default").and_then(|cursor| fallback(&cursor)).unwrap_or_default();
    let mut rules = Vec::new();
    for (name, kind) in [("deny", Section::Deny), ("allow", Section::Allow)] {
        let Some(cursor) = section(name) else { continue };
        let items = cursor.items("a list of rules");
        let read = items.iter().enumerate().filter_map(|(at, item)| rule(item, kind, side, at));
        rules.extend(read);
    }
    if rules.len() > MAX_RULES {
        root.error(format!("at most {MAX_RULES} rules"));
    }
    let operators = section("operators").map(|cursor| roles(&cursor));
    let tests = section("tests").map(|cursor| tests_section::read(&cursor, side)).unwrap_or_default();
    let quotas = section("quotas").map(|cursor| quotas(&cursor)).unwrap_or_default();
    Contents { fallback, rules, quotas, operators, tests }
}

fn fallback(cursor: &Cursor<'_>) -> Option<Fallback> {
    match cursor.as_text() {
        Some("allow") => Some(Fallback::Allow),
        Some("deny") => Some(Fallback::Deny),
        _ => {
            cursor.error("allow or deny");
            None
        }
    }
}

/// Section that a rule stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Allow,
    Deny,
}

/// Keys of what a rule is about.
const WHAT: [&str; 4] = ["tools", "prompts", "resources", "methods"];

fn rule(cursor: &Cursor<'_>, section: Section, side: Side, at: usize) -> Option<Rule> {
    let mut keys = vec!["name", "who"];
    keys.extend(WHAT);
    keys.extend((side == Side::Proxy).then_some("slaves"));
    keys.push("arguments");
    keys.extend(match (section, side) {
        (Section::Deny, _) => Some("annotations"),
        // A slave is told no scopes.
        (Section::Allow, Side::Proxy) => Some("requires_scope"),
        (Section::Allow, Side::Slave) => None,
    });
    let entries = cursor.entries_of(&keys)?;
    let default_name = if section == Section::Allow { "allow" } else { "deny" };
    let name = entries.get("name").and_then(|name| name.text("a name").map(str::to_owned));
    let who = match (entries.get("who"), section) {
        (Some(cursor), _) => read_who(&cursor),
        (None, Section::Deny) => vec![Who::Anyone],
        (None, Section::Allow) => {
            entries.required("who", "whom it allows: anyone, authenticated, or conditions");
            Vec::new()
        }
    };
    let effect = match section {
        Section::Deny => Effect::Deny,
        Section::Allow => Effect::Allow { scopes: scopes(&entries) },
    };
    Some(Rule {
        name: name.unwrap_or_else(|| format!("{default_name}[{at}]")),
        line: cursor.line(),
        effect,
        who,
        what: what(&entries),
        places: entries.get("slaves").map(|cursor| places(&cursor)).unwrap_or_default(),
        annotations: entries.get("annotations").map(|cursor| annotations(&cursor)),
        arguments: many(&entries, "arguments").iter().filter_map(argument).collect(),
    })
}

fn many<'a>(entries: &Map<'a>, key: &str) -> Vec<Cursor<'a>> {
    entries.get(key).map(|cursor| cursor.one_or_more()).unwrap_or_default()
}

/// Reads the scopes that a rule requires: scope tokens (RFC 6749, 3.3), which go into a header as they are.
fn scopes(entries: &Map<'_>) -> Vec<String> {
    let expected = "a scope: characters of ASCII without spaces, quotation marks and backslashes";
    let is_token =
        |text: &&str| text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    let scope = |cursor: &Cursor<'_>| {
        let scope = cursor.text(expected)?;
        let token = Some(scope).filter(is_token);
        if token.is_none() {
            cursor.error(expected);
        }
        token.map(str::to_owned)
    };
    many(entries, "requires_scope").iter().filter_map(scope).collect()
}

/// Reads patterns; `None` where the key is missing.
fn globs(entries: &Map<'_>, key: &str) -> Option<Vec<Glob>> {
    let cursor = entries.get(key)?;
    let glob = |cursor: &Cursor<'_>| {
        Some(Glob::new(&scalar(cursor, "a pattern: a text in which * stands for any text")?))
    };
    Some(cursor.one_or_more().iter().filter_map(glob).collect())
}

/// Reads patterns of names, which are never empty; `None` where the key is missing.
fn names(entries: &Map<'_>, key: &str) -> Option<Vec<Glob>> {
    let cursor = entries.get(key)?;
    for name in cursor.one_or_many().iter().filter(|name| name.as_text() == Some("")) {
        name.error("a pattern that some name fits");
    }
    globs(entries, key)
}

/// Reads a text, number or flag; a number only where nothing of it is lost.
fn scalar(cursor: &Cursor<'_>, expected: &str) -> Option<String> {
    let text = cursor.scalar(expected)?;
    if cursor.as_text().is_none() && text.parse::<f64>().is_ok_and(|number| number.abs() >= MAX_WHOLE) {
        cursor.error("such a long number in quotes");
        return None;
    }
    Some(text)
}

/// Reads whom a rule is about: one description or several.
pub(crate) fn read_who(cursor: &Cursor<'_>) -> Vec<Who> {
    cursor.one_or_more().iter().filter_map(one_who).collect()
}

fn one_who(cursor: &Cursor<'_>) -> Option<Who> {
    match cursor.as_text() {
        Some("anyone") => return Some(Who::Anyone),
        Some("authenticated") => return Some(Who::Authenticated),
        Some(_) => {
            cursor.error(
                "anyone, authenticated, or a mapping with key, group, subject, issuer, scope, certificate",
            );
            return None;
        }
        None => {}
    }
    let entries = cursor.entries_of(&["key", "group", "subject", "issuer", "scope", "certificate"])?;
    if entries.is_empty() {
        cursor.error("at least one condition; anyone is written as anyone");
        return None;
    }
    let of = |key| names(&entries, key);
    Some(Who::Given(Conditions {
        key: of("key"),
        group: of("group"),
        subject: of("subject"),
        issuer: of("issuer"),
        scope: of("scope"),
        certificate: of("certificate"),
    }))
}

fn what(entries: &Map<'_>) -> Option<What> {
    let [tools, prompts, resources, methods] = WHAT.map(|key| names(entries, key));
    if [&tools, &prompts, &resources, &methods].iter().all(|globs| globs.is_none()) {
        return None;
    }
    Some(What {
        tools: tools.unwrap_or_default(),
        prompts: prompts.unwrap_or_default(),
        resources: resources.unwrap_or_default(),
        methods: methods.unwrap_or_default(),
    })
}

fn quotas(cursor: &Cursor<'_>) -> Vec<Quota> {
    let items = cursor.items("a list of quotas, each with name, who and calls");
    let mut quotas: Vec<Quota> = Vec::new();
    for item in &items {
        let Some(quota) = quota(item) else { continue };
        if quotas.iter().any(|other| other.name == quota.name) {
            item.error("another name than that of another quota");
        }
        quotas.push(quota);
    }
    if quotas.len() > MAX_QUOTAS {
        cursor.error(format!("at most {MAX_QUOTAS} quotas"));
    }
    quotas
}

fn quota(cursor: &Cursor<'_>) -> Option<Quota> {
    let mut keys = vec!["name", "who", "calls", "share"];
    keys.extend(WHAT);
    let entries = cursor.entries_of(&keys)?;
    let name = entries.required("name", "a name").and_then(|name| name.text("a name").map(str::to_owned));
    let who = entries.required("who", "whose calls: anyone, authenticated, or conditions");
    let expected = "calls a day, a whole number from 0 to 4294967295";
    let calls = entries.required("calls", expected).and_then(|cursor| {
        let calls = cursor.scalar(expected)?.parse().ok();
        if calls.is_none() {
            cursor.error(expected);
        }
        calls
    });
    let share = match entries.get("share") {
        None => QuotaShare::Each,
        Some(cursor) => match cursor.as_text() {
            Some("each") => QuotaShare::Each,
            Some("together") => QuotaShare::Together,
            _ => {
                cursor.error("each or together");
                return None;
            }
        },
    };
    Some(Quota { name: name?, calls: calls?, share, who: read_who(&who?), what: what(&entries) })
}

fn places(cursor: &Cursor<'_>) -> Vec<Places> {
    cursor.one_or_more().iter().filter_map(place).collect()
}

fn place(cursor: &Cursor<'_>) -> Option<Places> {
    let entries = cursor.entries_of(&["code", "labels"])?;
    if entries.is_empty() {
        cursor.error("code, labels or both");
        return None;
    }
    let labels = entries.get("labels").and_then(|cursor| cursor.entries("a mapping of labels to patterns"));
    let labels = labels.iter().flat_map(|labels| {
        labels.all().filter_map(|(name, _)| Some((name.to_owned(), globs(labels, name)?))).collect::<Vec<_>>()
    });
    Some(Places { code: names(&entries, "code"), labels: labels.collect() })
}

fn annotations(cursor: &Cursor<'_>) -> AnnotationMatch {
    let known = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];
    let Some(entries) = cursor.entries_of(&known) else { return AnnotationMatch::default() };
    if entries.is_empty() {
        cursor.error("at least one annotation");
    }
    let flag = |key| {
        let cursor = entries.get(key)?;
        match cursor.scalar("true or false").as_deref() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => {
                cursor.error("true or false");
                None
            }
            None => None,
        }
    };
    AnnotationMatch {
        read_only: flag(known[0]),
        destructive: flag(known[1]),
        idempotent: flag(known[2]),
        open_world: flag(known[3]),
    }
}

fn argument(cursor: &Cursor<'_>) -> Option<Argument> {
    let entries = cursor.entries_of(&["pointer", "equals", "in", "glob"])?;
    let expected = "a JSON pointer into the arguments, for example /env";
    let pointer = entries.required("pointer", expected)?;
    let parsed = Pointer::parse(pointer.text(expected)?);
    if parsed.is_none() {
        pointer.error(expected);
    }
    let values = |key| {
        let read = |cursor: Cursor<'_>| -> Vec<String> {
            cursor.one_or_more().iter().filter_map(|one| scalar(one, "a text, number or flag")).collect()
        };
        entries.get(key).map(read)
    };
    let test = match (values("equals"), values("in"), globs(&entries, "glob")) {
        (Some(values), None, None) | (None, Some(values), None) => Test::OneOf(values),
        (None, None, Some(globs)) => Test::Glob(globs),
        _ => {
            cursor.error("exactly one of equals, in, glob");
            return None;
        }
    };
    Some(Argument { pointer: parsed?, test })
}

fn roles(cursor: &Cursor<'_>) -> Roles {
    let Some(entries) = cursor.entries_of(&["metrics", "api", "ui", "operate"]) else {
        return Roles::default();
    };
    let who = |key| entries.get(key).map(|cursor| read_who(&cursor)).unwrap_or_default();
    Roles { metrics: who("metrics"), api: who("api"), ui: who("ui"), operate: who("operate") }
}
