//! The secrets of this environment: of the variables that are declared as such, of those whose names promise one, and of the
//! files that hold some. Must not know where they could appear.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::CstRootNode;
use runtime::document::{Document, Rendered};
use runtime::env::{Content, Secrecy, Snapshot, Var};
use serde_json::Value;

use crate::reference::TABLES;

/// Most bytes of a file that are looked through.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Shortest token of a file that nobody can parse that is taken for a secret.
const MIN_TOKEN: usize = 6;

/// Parts of the names of variables and members that promise a secret.
const PROMISES: [&str; 13] = [
    "TOKEN",
    "KEY",
    "SECRET",
    "PASS",
    "CREDENTIAL",
    "AUTH",
    "COOKIE",
    "CODE",
    "HASH",
    "SHA256",
    "TOTP",
    "SIGNATURE",
    "PRIVATE",
];

/// Values that are settings, whatever their name promises.
const COMMON_WORDS: [&str; 6] = ["true", "false", "none", "null", "yes", "off"];

/// Members whose members are variables or headers: each may be a secret.
const HOLDERS: [&str; 3] = ["ENV", "HEADERS", "ENVIRONMENT"];

/// What was found.
#[derive(Default)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Secrets {
    texts: BTreeSet<String>,
    /// Files of secrets that could not be looked through, each with its variable and why.
    pub(super) unread: Vec<String>,
}

impl Secrets {
    /// Collects all secrets.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut secrets = Self::default();
        for var in TABLES.iter().copied().flatten() {
            let Some(value) = var.value_in(snapshot) else { continue };
            if var.secrecy == Secrecy::Secret {
                secrets.add_value(value);
            }
            if var.content == Content::SecretFile {
                secrets.add_file(var, value, snapshot);
            }
        }
        let declared = |name: &str| TABLES.iter().copied().flatten().any(|var| var.is_named(name));
        for name in snapshot.names().filter(|name| !declared(name) && promises(name)) {
            secrets.add_value(snapshot.get(name).unwrap_or_default());
        }
        secrets
    }

    /// Returns the secrets.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }

    fn add(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty() && !COMMON_WORDS.contains(&text) {
            self.texts.insert(text.to_owned());
        }
    }

    /// Adds a value: as a whole, as a list, as `name=value` pairs, and the credentials of a URL.
    fn add_value(&mut self, value: &str) {
        self.add(value);
        for item in value.split(',') {
            self.add(item);
            if let Some((_, inner)) = item.split_once('=') {
                self.add(inner);
                self.add(&decoded(inner));
            }
        }
        // A password may hold any character, so that it ends at the last "@" of all, or of the authority.
        let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        for user in [rest, authority].into_iter().filter_map(|text| text.rsplit_once('@')) {
            let password = user.0.split_once(':').map_or(user.0, |(_, password)| password);
            self.add(user.0);
            self.add(&decoded(user.0));
            self.add(password);
            self.add(&decoded(password));
        }
    }

    fn add_file(&mut self, var: &Var, path: &str, snapshot: &Snapshot) {
        let mut content = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut content));
        if let Err(error) = read {
            return self.unread.push(format!("{}: {}", var.name, runtime::io_fault::describe(&error)));
        }
        self.add_content(&String::from_utf8_lossy(&content), snapshot);
    }

    /// Adds what the text of a file holds: lines of a list or of PEM, or members of YAML or JSON.
    fn add_content(&mut self, text: &str, snapshot: &Snapshot) {
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let first = lines().next().unwrap_or_default();
        if text.contains("PRIVATE KEY-----") || !is_structured(first) {
            return lines().filter(|line| !line.starts_with("-----")).for_each(|line| self.add_value(line));
        }
        let parsed =
            CstRootNode::parse(text, &ParseOptions::default()).ok().and_then(|root| root.to_serde_value());
        let document = Document::parse(text, Rendered::Hidden);
        match (parsed, document) {
            (Some(value), _) => self.add_members(&value, false, snapshot),
            (None, Ok(document)) => {
                // A method itself is not general enough over the document's lifetime.
                #[allow(clippy::redundant_closure_for_method_calls)]
                let json: Option<String> = document.read(Rendered::Hidden, |root| root.to_json()).ok();
                let value: Value = json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
                self.add_members(&value, false, snapshot);
            }
            // A file that nobody can parse may hold a secret anywhere.
            (None, Err(_)) => {
                let tokens = text.split(|c: char| c.is_whitespace() || "\"',{}[]".contains(c));
                tokens.filter(|token| token.len() >= MIN_TOKEN).for_each(|token| self.add(token));
            }
        }
    }

    /// Adds the texts below members that promise a secret, and the variables that a text names as `${NAME}`.
    fn add_members(&mut self, value: &Value, is_secret: bool, snapshot: &Snapshot) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let holds = HOLDERS.contains(&name.to_ascii_uppercase().as_str());
                    let is_leaf = !value.is_object() && !has_objects(value);
                    let inner = (is_secret || promises(name)) && is_leaf;
                    match value.as_object().filter(|_| holds) {
                        Some(held) => held.values().for_each(|value| self.add_members(value, true, snapshot)),
                        None => self.add_members(value, inner, snapshot),
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.add_members(item, is_secret, snapshot);
                }
            }
            Value::String(text) => {
                for name in text.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next()) {
                    self.add_value(snapshot.get(name).unwrap_or_default());
                }
                if is_secret {
                    self.add_value(text);
                }
            }
            Value::Number(number) if is_secret => self.add(&number.to_string()),
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }
}

fn promises(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    PROMISES.iter().any(|part| name.contains(part))
}

fn has_objects(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().any(Value::is_object))
}

/// Whether a file that begins with this line is YAML or JSON, not a secret on each line.
fn is_structured(first: &str) -> bool {
    let named = first.split_once(':').is_some_and(|(name, rest)| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_-\"".contains(c);
        name.chars().all(is_name) && (rest.is_empty() || rest.starts_with(' '))
    });
    named
        || first.starts_with(['{', '['])
        || first == "-"
        || first.starts_with("- ")
        || first.starts_with("---")
        || first.starts_with("//")
        || first.starts_with("/*")
}

/// Decodes `%` and two hex digits.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped =
            digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%');
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_content(text: &str) -> Vec<String> {
        let mut secrets = Secrets::default();
        secrets.add_content(text, &Snapshot::of([("NAMED", "of-a-variable")]));
        secrets.texts.into_iter().collect()
    }

    #[test]
    fn each_form_of_a_file_gives_its_secrets_and_not_its_names() {
        for (text, expected) in [
            ("# codes\ncode-one\n\ncode-two\n", &["code-one", "code-two"][..]),
            (
                "- {code: code-one, name: office}\n- code: code-two\n  labels: {env: lab}\n",
                &["code-one", "code-two"],
            ),
            ("codes:\n  - code_sha256: abc123\n    name: office\n", &["abc123"]),
            (
                "users:\n  - name: ann\n    password: \"$argon2id$x\"\n    totp: BASE32\n",
                &["$argon2id$x", "BASE32"],
            ),
            ("keys: [one-key, two-key]\n", &["one-key", "two-key"]),
            (
                "// servers\n{\"mcpServers\": {\"a\": {\"command\": \"npx\", \"env\": {\"URL\": \"hush\"}, \"headers\": {\"X\": \"${NAMED}\"}}}}",
                &["hush", "of-a-variable"],
            ),
            ("-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n", &["MC4CAQAw"]),
            ("- {code: [broken-secret\n", &["broken-secret"]),
        ] {
            let found = in_content(text);
            for secret in expected {
                assert!(found.iter().any(|text| text == secret), "{secret}: {found:?}");
            }
            for name in ["office", "ann", "npx", "lab"] {
                assert!(!found.iter().any(|text| text == name), "{name}: {found:?}");
            }
        }
    }

    #[test]
    fn variables_give_lists_pairs_and_passwords() {
        let snapshot = Snapshot::of([
            ("SLAVE_CODES", "code-one, code-two"),
            ("HTTPS_PROXY", "http://me:p%40ss@proxy:3128"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-a=val%2Due"),
            ("TEAM_API_KEY", "undeclared"),
            ("LANG", "en"),
            ("SLAVE_CODES_FILE", "/nowhere/codes"),
        ]);
        let secrets = Secrets::of(&snapshot);
        for expected in ["code-one", "code-two", "p%40ss", "p@ss", "val-ue", "val%2Due", "undeclared"] {
            assert!(secrets.texts().any(|text| text == expected), "{expected}: {secrets:?}");
        }
        assert!(!secrets.texts().any(|text| text == "en" || text == "/nowhere/codes"), "{secrets:?}");
        assert!(secrets.unread[0].starts_with("SLAVE_CODES_FILE: "), "{:?}", secrets.unread);
    }
}
