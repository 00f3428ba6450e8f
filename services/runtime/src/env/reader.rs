//! The reader of declared variables, which returns typed values and collects every problem. Knows no variable by name.

use serde::de::DeserializeOwned;

use crate::document::DocumentProblems;

use super::{Problem, Problems, Secrecy, Setting, Snapshot, Var};

/// A configuration with the warnings about it.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub config: T,
    /// Warnings about values that are allowed but probably not intended, to be logged at `warn`.
    pub warnings: Vec<String>,
}

/// A reader of one configuration. A bad value is noted and reading goes on; [`Reader::finish`] returns all problems.
#[derive(Debug)]
pub struct Reader<'a> {
    subject: &'static str,
    snapshot: &'a Snapshot,
    tables: &'a [&'static [Var]],
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Creates a reader of the variables of `tables`; `subject` is the configured part, for example `proxy`.
    pub fn new(subject: &'static str, snapshot: &'a Snapshot, tables: &'a [&'static [Var]]) -> Self {
        Self { subject, snapshot, tables, problems: Vec::new(), warnings: Vec::new() }
    }

    /// Fills a flat struct of `Option<String>` whose fields are named like the variables, in lower case. Used by the
    /// code that [`crate::variables!`] generates.
    ///
    /// Kubernetes injects `X_PORT=tcp://…` for a Service named `x`: such a value in a declared variable counts as
    /// unset, with a warning. Unset and empty are the same.
    pub fn fill<T: DeserializeOwned + Default>(&mut self) -> T {
        let mut pairs = Vec::new();
        for var in self.tables.iter().copied().flatten() {
            let Some(value) = var.value_in(self.snapshot) else { continue };
            if is_service_link(var.name, value) {
                let name = var.name;
                let text = format!(
                    "{name} looks like a Kubernetes service link and is ignored: set enableServiceLinks: false on the pod"
                );
                if !self.warnings.contains(&text) {
                    self.warnings.push(text);
                }
                continue;
            }
            pairs.push((var.name.to_owned(), value.to_owned()));
        }
        envy::from_iter(pairs).unwrap_or_else(|error| {
            self.note("environment", "(unreadable)".into(), error.to_string());
            T::default()
        })
    }

    /// Reads a variable that always has a value. After a problem the result is `T::default()`, which must not be used.
    pub fn value<T, P>(&mut self, setting: &Setting, parse: P) -> T
    where
        T: Default,
        P: FnOnce(&str) -> Result<T, String>,
    {
        if let Some(text) = setting.effective() {
            self.parsed(setting, text, parse).unwrap_or_default()
        } else {
            self.missing(setting, "a value");
            T::default()
        }
    }

    /// Reads a variable that may be unset. `None` where it is unset, or after a problem.
    pub fn optional<T, P>(&mut self, setting: &Setting, parse: P) -> Option<T>
    where
        P: FnOnce(&str) -> Result<T, String>,
    {
        self.parsed(setting, setting.text()?, parse)
    }

    fn parsed<T, P>(&mut self, setting: &Setting, text: &str, parse: P) -> Option<T>
    where
        P: FnOnce(&str) -> Result<T, String>,
    {
        parse(text).map_err(|expected| self.reject_value(setting.name(), text, expected)).ok()
    }

    /// Notes a variable that must be set and is not.
    pub fn missing(&mut self, setting: &Setting, expected: &str) {
        self.note(setting.name(), "(not set)".into(), expected.to_owned());
    }

    /// Notes a setting that cannot be used; a secret text is not shown.
    pub fn reject(&mut self, setting: &Setting, expected: impl Into<String>) {
        self.reject_value(setting.name(), setting.effective().unwrap_or_default(), expected);
    }

    /// Notes a value that cannot be used, for the variable of this name; a secret value is not shown.
    pub fn reject_value(&mut self, name: &str, value: &str, expected: impl Into<String>) {
        let secret = self.var(name).is_none_or(|var| var.secrecy == Secrecy::Secret);
        // A URL may carry a password before an '@'.
        let shown = if secret || value.contains('@') {
            "(value not shown)".to_owned()
        } else {
            let mut short: String = value.chars().take(200).collect();
            if short.len() < value.len() {
                short.push('…');
            }
            format!("= {short:?}")
        };
        self.note(name, shown, expected.into());
    }

    /// Notes the problems inside the file that a variable names.
    pub fn reject_file(&mut self, setting: &Setting, problems: &DocumentProblems) {
        let path = setting.text().unwrap_or_default();
        for problem in &problems.0 {
            self.note(
                setting.name(),
                format!("= {path:?}, {}", problem.location()),
                problem.expected.clone(),
            );
        }
    }

    /// Adds a warning about a value that is allowed but probably not intended.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Returns whether any problem was noted so far.
    pub fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Returns whether the environment has a value for this variable, which may be one of another mode.
    pub fn is_set(&self, name: &str) -> bool {
        self.snapshot.get(name).is_some()
    }

    /// Returns the configuration if there was no problem, all problems otherwise.
    pub fn finish<T>(mut self, config: T) -> Result<Loaded<T>, Problems> {
        if self.problems.is_empty() {
            return Ok(Loaded { config, warnings: self.warnings });
        }
        let position = |p: &Problem| self.tables.iter().copied().flatten().position(|var| var.name == p.name);
        self.problems.sort_by_key(|problem| position(problem).unwrap_or(usize::MAX));
        Err(Problems { subject: self.subject, list: self.problems })
    }

    fn var(&self, name: &str) -> Option<&'static Var> {
        self.tables.iter().copied().flatten().find(|var| var.name == name)
    }

    fn note(&mut self, name: &str, shown: String, expected: String) {
        self.problems.push(Problem { name: name.to_owned(), shown, expected });
    }
}

fn is_service_link(name: &str, value: &str) -> bool {
    name.ends_with("_PORT") && ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::parse;

    crate::variables! {
        const TABLE: Every;
        struct Settings;
        web_port = Value("8000"), "A port.";
        api_key secret = Says("none"), "A key.";
        peer_url = Says("none"), "A URL.";
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Loaded<u16>, Problems> {
        let snapshot = Snapshot::of(pairs.iter().copied());
        let tables = [TABLE];
        let mut reader = Reader::new("test", &snapshot, &tables);
        let settings = Settings::read(&mut reader);
        let port = reader.value(&settings.web_port, parse::port);
        let refuse = |_: &str| Err::<(), _>("something else".to_owned());
        reader.optional(&settings.peer_url, refuse);
        reader.optional(&settings.api_key, refuse);
        reader.finish(port)
    }

    #[test]
    fn a_declared_variable_is_named_once_and_known_in_upper_case() {
        let names: Vec<(&str, Secrecy)> = TABLE.iter().map(|var| (var.name, var.secrecy)).collect();
        let expected =
            [("WEB_PORT", Secrecy::Open), ("API_KEY", Secrecy::Secret), ("PEER_URL", Secrecy::Open)];
        assert_eq!(names, expected);
    }

    #[test]
    fn the_default_replaces_an_unset_or_empty_value() {
        assert_eq!(read(&[]).unwrap().config, 8000);
        assert_eq!(read(&[("WEB_PORT", "")]).unwrap().config, 8000);
        assert_eq!(read(&[("WEB_PORT", " 9000 ")]).unwrap().config, 9000);
    }

    #[test]
    fn every_problem_is_reported_in_the_order_of_the_table_and_secrets_are_not_shown() {
        let problems =
            read(&[("API_KEY", "hush"), ("PEER_URL", "ws://u:hush@h"), ("WEB_PORT", "eighty")]).unwrap_err();
        let names: Vec<&str> = problems.list.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["WEB_PORT", "API_KEY", "PEER_URL"]);
        let text = problems.to_string();
        assert!(text.contains(r#"WEB_PORT = "eighty": expected a port"#), "{text}");
        assert!(!text.contains("hush"), "{text}");
    }

    #[test]
    fn kubernetes_service_links_are_ignored() {
        let loaded = read(&[("WEB_PORT", "tcp://10.0.0.7:80"), ("PROXY_PORT", "tcp://10.0.0.8:80")]).unwrap();
        assert_eq!(loaded.config, 8000);
        assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
        assert!(loaded.warnings[0].contains("enableServiceLinks"));
    }
}
