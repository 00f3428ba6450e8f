//! The reader of an entry's curation: `tools`, `prompts`, `resources` and `prefix`, and the members by which other programs choose tools.
//! Must not know how it is applied.
//!
//! A rule that is misspelt would show what was to be hidden: unknown members of the rules are a problem.

use std::collections::{BTreeMap, HashSet};

use protocol::mcp::catalog::check_name;
use runtime::glob::Glob;
use serde_json::Value;

use super::entry::EntryReader;
use crate::backends::Curation;
use crate::backends::curation::ListCuration;

/// Members of the rules of one list.
const RULES: &[&str] = &["allow", "deny", "rename", "describe"];

/// Lists of tools that other programs' files allow.
const ALLOWED_ELSEWHERE: &[&str] = &["includeTools", "enabledTools", "enabled_tools"];

/// Lists of tools that other programs' files take out.
const DENIED_ELSEWHERE: &[&str] = &["excludeTools", "disabledTools", "disabled_tools"];

/// Members that are read here.
pub(super) const MEMBERS: &[&str] = &[
    "tools",
    "prompts",
    "resources",
    "prefix",
    "includeTools",
    "enabledTools",
    "enabled_tools",
    "excludeTools",
    "disabledTools",
    "disabled_tools",
];

impl EntryReader<'_> {
    /// Returns the curation; nothing without the members.
    pub(super) fn curation(&mut self) -> Curation {
        let mut tools = self.list_rules("tools", true);
        for member in ALLOWED_ELSEWHERE {
            if let Some(allowed) = self.patterns(member, self.value.get(member)) {
                tools.allow.get_or_insert_default().extend(allowed);
            }
        }
        for member in DENIED_ELSEWHERE {
            tools.deny.extend(self.patterns(member, self.value.get(member)).unwrap_or_default());
        }
        Curation {
            prefix: self.prefix(),
            tools,
            prompts: self.list_rules("prompts", true),
            resources: self.list_rules("resources", false),
        }
    }

    fn prefix(&mut self) -> String {
        match self.value.get("prefix") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) if text.is_empty() || check_name(text).is_ok() => text.clone(),
            Some(_) => {
                self.report("prefix", "the beginning of names, at most 128 characters");
                String::new()
            }
        }
    }

    /// Reads the rules of a list: an object, or a list of what is allowed. `has_names`: entries can be renamed.
    fn list_rules(&mut self, member: &str, has_names: bool) -> ListCuration {
        let value = self.value;
        let rules = match value.get(member) {
            None | Some(Value::Null) => return ListCuration::default(),
            Some(Value::Object(rules)) => rules,
            Some(list) => {
                return ListCuration { allow: self.patterns(member, Some(list)), ..ListCuration::default() };
            }
        };
        for name in rules.keys().filter(|name| !RULES.contains(&name.as_str())) {
            let printable: String = name.chars().take(64).collect();
            self.report(&format!("{member}.{printable}"), &format!("one of {}", RULES.join(", ")));
        }
        if !has_names && rules.get("rename").is_some_and(|rename| !rename.is_null()) {
            self.report(&format!("{member}.rename"), "nothing: a URI cannot be renamed");
        }
        let rename = self.texts(&format!("{member}.rename"), rules.get("rename"));
        self.check_renames(member, &rename);
        ListCuration {
            allow: self.patterns(&format!("{member}.allow"), rules.get("allow")),
            deny: self.patterns(&format!("{member}.deny"), rules.get("deny")).unwrap_or_default(),
            rename,
            describe: self.texts(&format!("{member}.describe"), rules.get("describe")),
        }
    }

    fn check_renames(&mut self, member: &str, rename: &BTreeMap<String, String>) {
        let mut shown = HashSet::new();
        for (own, name) in rename {
            let at = format!("{member}.rename.{own}");
            if let Err(reason) = check_name(name) {
                self.report(&at, &format!("a usable name ({reason})"));
            } else if !shown.insert(name) {
                self.report(&at, "a name that no other entry is renamed to");
            }
        }
    }

    fn patterns(&mut self, member: &str, value: Option<&Value>) -> Option<Vec<Glob>> {
        let items = match value {
            None | Some(Value::Null) => return None,
            Some(Value::Array(items)) => items.iter().map(Value::as_str).collect::<Option<Vec<_>>>(),
            Some(_) => None,
        };
        if items.is_none() {
            self.report(member, "a list of names, in which * stands for any characters");
        }
        items.map(|items| items.into_iter().map(Glob::new).collect())
    }

    fn texts(&mut self, member: &str, value: Option<&Value>) -> BTreeMap<String, String> {
        let texts = match value {
            None | Some(Value::Null) => return BTreeMap::new(),
            Some(Value::Object(texts)) => {
                let text = |(name, text): (&String, &Value)| Some((name.clone(), text.as_str()?.to_owned()));
                texts.iter().map(text).collect::<Option<_>>()
            }
            Some(_) => None,
        };
        texts.unwrap_or_else(|| {
            self.report(member, "an object of texts by the backend's own names");
            BTreeMap::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(entry: &Value) -> (Curation, Vec<String>) {
        let variable = |_: &str| None;
        let mut reader = EntryReader::new("one", entry, &variable);
        let curation = reader.curation();
        (curation, reader.problems)
    }

    #[test]
    fn rules_are_read_in_our_form_and_in_those_of_other_programs() {
        let (curation, problems) = read(&json!({
            "prefix": "gh_",
            "tools": {"allow": ["a*"], "deny": ["ab"], "rename": {"a": "x"}, "describe": {"a": "A"}},
            "resources": {"deny": ["file:///etc/*"]},
            "excludeTools": ["z"]
        }));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(curation.prefix, "gh_");
        assert_eq!(curation.tools.allow, Some(vec![Glob::new("a*")]));
        assert_eq!(curation.tools.deny, [Glob::new("ab"), Glob::new("z")]);
        assert_eq!(curation.tools.rename["a"], "x");
        assert!(!curation.offers_resource("file:///etc/x"));
        for (entry, allow) in [
            (json!({"tools": ["*"]}), Some(vec![Glob::new("*")])),
            (json!({"tools": []}), Some(vec![])),
            (json!({"includeTools": ["a"], "tools": ["b"]}), Some(vec![Glob::new("b"), Glob::new("a")])),
            (json!({"tools": null}), None),
            (json!({}), None),
        ] {
            let (curation, problems) = read(&entry);
            assert_eq!((curation.tools.allow, problems), (allow, vec![]), "{entry}");
        }
        assert_eq!(read(&json!({"command": "x"})).0, Curation::default());
    }

    #[test]
    fn what_cannot_be_a_rule_is_reported_with_its_place() {
        for (entry, place) in [
            (json!({"tools": 3}), "\"tools\""),
            (json!({"tools": {"alow": []}}), "\"tools.alow\""),
            (json!({"tools": {"allow": "a"}}), "\"tools.allow\""),
            (json!({"tools": {"deny": [1]}}), "\"tools.deny\""),
            (json!({"prompts": {"rename": ["a"]}}), "\"prompts.rename\""),
            (json!({"tools": {"rename": {"a": ""}}}), "\"tools.rename.a\""),
            (json!({"tools": {"rename": {"a": "x", "b": "x"}}}), "\"tools.rename.b\""),
            (json!({"tools": {"describe": {"a": 1}}}), "\"tools.describe\""),
            (json!({"resources": {"rename": {"a:b": "x"}}}), "\"resources.rename\""),
            (json!({"prefix": "a\n"}), "\"prefix\""),
            (json!({"excludeTools": "a"}), "\"excludeTools\""),
        ] {
            let (_, problems) = read(&entry);
            assert!(problems.len() == 1 && problems[0].contains(place), "{entry}: {problems:?}");
        }
    }
}
