//! A cursor on a value of a file: its type, its path, and the problems that its reader notes. Must not know formats.

use super::json;
use super::node::{Kind, Node};
use super::problem::{DocumentProblem, ProblemList, Rendered};

/// A cursor on a value of a file that is being read. Problems are collected, and reading goes on.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    node: &'a Node,
    path: String,
    shown: Rendered,
    problems: &'a ProblemList,
}

/// The entries of a mapping.
#[derive(Clone, Debug)]
pub struct Map<'a> {
    of: Cursor<'a>,
    list: &'a [(String, Node)],
}

impl<'a> Cursor<'a> {
    pub(super) fn root(node: &'a Node, problems: &'a ProblemList) -> Self {
        Self { node, path: String::new(), shown: problems.shown, problems }
    }

    /// Returns the same cursor with a value that is never shown in messages, because it may be a secret.
    #[must_use]
    pub fn hidden(self) -> Self {
        Self { shown: Rendered::Hidden, ..self }
    }

    /// Returns the line in the file, from 1.
    pub fn line(&self) -> u64 {
        self.node.line
    }

    /// Notes that the value cannot be used; `expected` follows the word "expected" in the message.
    pub fn error(&self, expected: impl Into<String>) {
        let value = match self.shown {
            Rendered::Open => show(&self.node.kind),
            Rendered::Hidden => String::new(),
        };
        self.note(value, expected.into());
    }

    fn note(&self, value: String, expected: String) {
        let problem = DocumentProblem { line: self.node.line, path: self.path.clone(), value, expected };
        self.problems.push(problem);
    }

    /// Reads a mapping that has only these keys. Other keys, and other types, are noted as problems.
    pub fn entries_of(&self, known: &[&str]) -> Option<Map<'a>> {
        let entries = self.entries(&format!("a mapping with {}", known.join(", ")))?;
        for (key, value) in entries.list {
            if !known.contains(&key.as_str()) {
                let unknown = Cursor { node: value, ..self.clone() };
                // A key may be a misplaced secret.
                let found = match self.shown {
                    Rendered::Open => format!("has the unknown key {key:?}"),
                    Rendered::Hidden => "has an unknown key".to_owned(),
                };
                unknown.note(found, format!("one of {}", known.join(", ")));
            }
        }
        Some(entries)
    }

    /// Reads a mapping with any keys. Other types are noted as problems.
    pub fn entries(&self, expected: &str) -> Option<Map<'a>> {
        if let Kind::Map(list) = &self.node.kind {
            return Some(Map { of: self.clone(), list });
        }
        self.error(expected);
        None
    }

    /// Reads the items of a list. Other types are noted as problems.
    pub fn items(&self, expected: &str) -> Vec<Cursor<'a>> {
        if let Kind::List(list) = &self.node.kind {
            return self.each(list);
        }
        self.error(expected);
        Vec::new()
    }

    /// Returns the items of a list, or the value itself where it is no list.
    pub fn one_or_many(&self) -> Vec<Cursor<'a>> {
        match &self.node.kind {
            Kind::List(list) => self.each(list),
            _ => vec![self.clone()],
        }
    }

    /// Returns what [`Self::one_or_many`] does, and reports an empty list: where the items limit something, no item would be read as no
    /// limit by some and as nothing by others.
    pub fn one_or_more(&self) -> Vec<Cursor<'a>> {
        let items = self.one_or_many();
        if items.is_empty() {
            self.error("at least one entry, or the key left out");
        }
        items
    }

    fn each(&self, list: &'a [Node]) -> Vec<Cursor<'a>> {
        let item = |(n, node)| Cursor { node, path: format!("{}[{n}]", self.path), ..self.clone() };
        list.iter().enumerate().map(item).collect()
    }

    /// Returns whether the value is `null` or missing.
    pub fn is_null(&self) -> bool {
        matches!(self.node.kind, Kind::Null)
    }

    /// Returns whether the value is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::List(_))
    }

    /// Returns whether the value is a mapping.
    pub fn is_map(&self) -> bool {
        matches!(self.node.kind, Kind::Map(_))
    }

    /// Returns whether the value is a text.
    pub fn is_text(&self) -> bool {
        matches!(self.node.kind, Kind::Text(_))
    }

    /// Returns the value if it is a text; notes nothing.
    pub fn as_text(&self) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Reads a text. The empty text and other types are noted as problems.
    pub fn text(&self, expected: &str) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Text(text) if !text.trim().is_empty() => Some(text),
            _ => {
                self.error(expected);
                None
            }
        }
    }

    /// Reads a text, a number or a flag as a text. Other types are noted as problems.
    pub fn scalar(&self, expected: &str) -> Option<String> {
        match &self.node.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Number(number) => Some(number.to_string()),
            Kind::Bool(flag) => Some(flag.to_string()),
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                self.error(expected);
                None
            }
        }
    }

    /// Reads a finite number. Other types are noted as problems.
    pub fn number(&self, expected: &str) -> Option<f64> {
        let number = match &self.node.kind {
            Kind::Number(number) => number.as_f64(),
            _ => None,
        };
        if number.is_none() {
            self.error(expected);
        }
        number
    }

    /// Reads `true` or `false`. Other types are noted as problems.
    pub fn flag(&self, expected: &str) -> Option<bool> {
        if let Kind::Bool(flag) = self.node.kind {
            return Some(flag);
        }
        self.error(expected);
        None
    }

    /// Returns the value as JSON in one line, with the keys in the order of the file.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        json::write(&self.node.kind, &mut out);
        out
    }
}

impl<'a> Map<'a> {
    /// Returns the value of a key; `None` if the mapping lacks it.
    pub fn get(&self, key: &str) -> Option<Cursor<'a>> {
        self.list.iter().find(|(known, _)| known == key).map(|(key, node)| self.child(key, node))
    }

    /// Returns the value of a key that must be present; a missing one is noted as a problem.
    pub fn required(&self, key: &str, expected: &str) -> Option<Cursor<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.of.note(format!("lacks {key:?}"), expected.to_owned());
        }
        found
    }

    /// Returns all entries, in the order of the file.
    pub fn all(&self) -> impl Iterator<Item = (&'a str, Cursor<'a>)> {
        self.list.iter().map(|(key, node)| (key.as_str(), self.child(key, node)))
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether the mapping is empty.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn child(&self, key: &str, node: &'a Node) -> Cursor<'a> {
        let path = if self.of.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.of.path) };
        Cursor { node, path, ..self.of.clone() }
    }
}

/// Formats a value for messages; texts are cut at 100 characters.
fn show(kind: &Kind) -> String {
    match kind {
        Kind::Null => "(empty)".into(),
        Kind::Bool(flag) => format!("= {flag}"),
        Kind::Number(number) => format!("= {number}"),
        Kind::Text(text) => {
            let mut short: String = text.chars().take(100).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            format!("= {short:?}")
        }
        Kind::List(_) => "(a list)".into(),
        Kind::Map(_) => "(a mapping)".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Document, Rendered};

    const FILE: &str = "\
rules:
  - name: one
    colour: red
    weight: heavy
  - 7
limit: 5
extra: x
";

    fn problems(text: &str, shown: Rendered) -> Vec<String> {
        let read = Document::parse(text, shown).and_then(|document| {
            document.read(shown, |root| {
                let Some(top) = root.entries_of(&["rules", "limit"]) else { return };
                if let Some(rules) = top.get("rules") {
                    for rule in rules.items("a list of rules") {
                        let Some(rule) = rule.entries_of(&["name", "weight", "to"]) else { continue };
                        rule.required("to", "where calls go");
                        if let Some(weight) = rule.get("weight") {
                            weight.number("a number");
                        }
                    }
                }
                if let Some(limit) = top.get("limit") {
                    assert_eq!(limit.number("a number"), Some(5.0));
                    assert_eq!(limit.scalar("a text").as_deref(), Some("5"));
                }
            })
        });
        read.err().map(|problems| problems.0.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    #[test]
    fn what_is_no_yaml_is_said_in_the_words_of_whoever_writes_files() {
        let [twice] = &problems("limit: 5\nlimit: 5\n", Rendered::Open)[..] else { panic!("one problem") };
        assert!(
            twice.contains("line 2") && twice.contains("duplicate mapping key: limit at line 2"),
            "{twice}"
        );
    }

    #[test]
    fn every_problem_is_reported_with_line_path_value_and_expectation() {
        assert_eq!(
            problems(FILE, Rendered::Open),
            [
                "line 2 rules[0] lacks \"to\": expected where calls go",
                "line 3 rules[0] has the unknown key \"colour\": expected one of name, weight, to",
                "line 4 rules[0].weight = \"heavy\": expected a number",
                "line 5 rules[1] = 7: expected a mapping with name, weight, to",
                "line 7 has the unknown key \"extra\": expected one of rules, limit",
            ]
        );
    }

    #[test]
    fn values_that_may_be_secrets_are_not_shown() {
        for text in [FILE.to_owned(), FILE.replace("one", "'heavy"), FILE.replace("red", "\"\\heavy\"")] {
            let found = problems(&text, Rendered::Hidden);
            assert!(!found.is_empty() && !found.join(" ").contains("heavy"), "{found:?}");
        }
    }

    #[test]
    fn invalid_yaml_is_refused_with_its_line() {
        for (text, line) in [
            ("limit: 1\nrules: [", "line 2"),
            ("limit: 1\nlimit: 2\n", "line 2"),
            ("limit: 1\n---\nlimit: 2\n", "line"),
            ("limit: {\n", "line"),
        ] {
            let found = problems(text, Rendered::Open);
            assert!(found.len() == 1 && found[0].contains(line), "{text:?}: {found:?}");
        }
        assert!(problems("", Rendered::Open).is_empty());
        assert!(problems("# nothing\n", Rendered::Open).is_empty());
        assert_eq!(problems("- 1\n", Rendered::Open).len(), 1);
    }

    #[test]
    fn growing_aliases_and_deep_nesting_are_refused() {
        let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
        for n in 1..12 {
            lines.push(format!("a{n}: &a{n} [{}]", vec![format!("*a{}", n - 1); 10].join(", ")));
        }
        let text = lines.join("\n");
        assert_eq!(problems(&text, Rendered::Open).len(), 1);
        assert_eq!(problems(&"[".repeat(5_000), Rendered::Open).len(), 1);
    }
}
