//! The `ROUTES` file: its top level and how it is read. Must not know how routes, pools and limits are used.
//!
//! Each section is a key of the top level with a reader of its own.

mod fields;
mod limits;
mod pools;
mod rules;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime::document::fields::digest_of_hex;
use runtime::document::{Cursor, Document, DocumentProblems, Rendered};
use runtime::keys::Key;
use sha2::{Digest, Sha256};

use super::limit_rules::LimitRules;
use super::pool_rule::PoolRule;
use super::rule::Rule;

/// Size of the file, in bytes.
const MAX_FILE_SIZE: u64 = 4 << 20;

/// Keys of the top level.
const SECTIONS: [&str; 4] = ["clients", "rules", "pools", "limits"];

/// Contents of the file. The default is that of no file: the built-in rules alone.
#[derive(Clone, Debug)]
pub struct Routes {
    /// SHA-256 digests of the clients' keys, by the operator's names of the clients.
    pub(crate) clients: BTreeMap<String, Vec<[u8; 32]>>,
    /// Rules in their order: the first that matches a call applies. The built-in ones come last.
    pub(crate) rules: Vec<Arc<Rule>>,
    /// Balancing options: the first entry that applies to a tool counts.
    pub(crate) pools: Vec<PoolRule>,
    /// Rate limits.
    pub(crate) limits: LimitRules,
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            clients: BTreeMap::new(),
            rules: Rule::built_in().collect(),
            pools: Vec::new(),
            limits: LimitRules::default(),
        }
    }
}

impl Routes {
    /// Parses the text of a file. The error names every problem with its line.
    pub fn parse(text: &str) -> Result<Self, DocumentProblems> {
        Document::parse(text, Rendered::Open)?.read(Rendered::Open, Self::read)
    }

    fn read(root: &Cursor<'_>) -> Self {
        let Some(top) = root.entries_of(&SECTIONS) else { return Self::default() };
        let section = |name| top.get(name).filter(|cursor| !cursor.is_null());
        let clients = section("clients").map(|cursor| read_clients(&cursor)).unwrap_or_default();
        let given = section("rules").map(|cursor| rules::read(&cursor, &clients)).unwrap_or_default();
        let rules = given.into_iter().chain(Rule::built_in()).collect();
        let pools = section("pools").map(|cursor| pools::read(&cursor)).unwrap_or_default();
        let limits = section("limits").map(|cursor| limits::read(&cursor, &clients)).unwrap_or_default();
        Self { clients, rules, pools, limits }
    }

    /// Returns the number of rules without the built-in ones.
    pub fn own_rules(&self) -> usize {
        self.rules.iter().filter(|rule| rule.line != 0).count()
    }

    /// Returns the names of the section `clients:`.
    pub fn client_names(&self) -> impl Iterator<Item = &str> {
        self.clients.keys().map(String::as_str)
    }

    /// Returns the names of clients none of whose keys is among these digests of keys and names: no request can come from
    /// them.
    pub fn unknown_clients(&self, keys: &[[u8; 32]]) -> Vec<&str> {
        let unknown = |digests: &Vec<[u8; 32]>| !digests.iter().any(|digest| keys.contains(digest));
        self.clients.iter().filter(|(_, digests)| unknown(digests)).map(|(name, _)| name.as_str()).collect()
    }
}

/// Prefix of the name of keys in `AUTH_BEARER_KEYS_FILE`, in place of a key's digest.
const KEY_NAME: &str = "key:";

fn read_clients(cursor: &Cursor<'_>) -> BTreeMap<String, Vec<[u8; 32]>> {
    let expected = "the client's key ids: 64 hexadecimal digits each, as `mcp-relay routes key-id` prints them, or key:<name>";
    let Some(entries) = cursor.entries("a mapping of clients' names to their key ids") else {
        return BTreeMap::new();
    };
    let ids = |cursor: Cursor<'_>| {
        // Hidden in messages, since an operator may have written the key itself by mistake.
        let ids = cursor.hidden().one_or_many();
        let read = |cursor: &Cursor<'_>| {
            let id = cursor.text(expected)?;
            let named = id.trim().strip_prefix(KEY_NAME).map(Key::identity_of_name);
            named.or_else(|| digest_of_hex(id.trim())).or_else(|| {
                cursor.error(expected);
                None
            })
        };
        ids.iter().filter_map(read).collect()
    };
    entries.all().map(|(name, cursor)| (name.to_owned(), ids(cursor))).collect()
}

/// Returns the id of a client's key for the section `clients:`: SHA-256 of the trimmed key in hexadecimal digits.
pub fn client_digest(key: &str) -> String {
    let digest = Sha256::digest(key.trim().as_bytes());
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// The file as read at start.
#[derive(Clone, Debug)]
pub struct RoutesFile {
    /// Its path.
    pub path: PathBuf,
    /// Its bytes, to recognise changes.
    pub content: Vec<u8>,
    /// Its parsed contents.
    pub routes: Arc<Routes>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    /// Reading failed.
    #[error("it cannot be read: {}", runtime::io_fault::describe(.0))]
    Unreadable(#[from] std::io::Error),
    /// The contents are invalid.
    #[error(transparent)]
    Bad(#[from] DocumentProblems),
}

impl RoutesFile {
    /// Reads and parses a file.
    pub fn read(path: &Path) -> Result<Self, RoutesError> {
        if std::fs::metadata(path)?.len() > MAX_FILE_SIZE {
            return Err(std::io::Error::other(format!("it is larger than {MAX_FILE_SIZE} bytes")).into());
        }
        let content = std::fs::read(path)?;
        let routes = Arc::new(parse_bytes(&content)?);
        Ok(Self { path: path.to_owned(), content, routes })
    }
}

/// Parses the bytes of a file.
pub(super) fn parse_bytes(content: &[u8]) -> Result<Routes, RoutesError> {
    let text = std::str::from_utf8(content).map_err(std::io::Error::other)?;
    Ok(Routes::parse(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        Routes::parse(text).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_empty_file_has_the_built_in_rules() {
        for text in ["", "# none\n", "rules:\nclients:\n", "rules: []\nclients: {}\n"] {
            let routes = Routes::parse(text).unwrap();
            assert_eq!(routes.own_rules(), 0, "{text:?}");
            let names: Vec<&str> = routes.rules.iter().map(|rule| rule.name.as_str()).collect();
            assert_eq!(names, ["review-gitlab", "review-github", "review-number"]);
        }
    }

    #[test]
    fn all_problems_are_reported_at_once_with_their_lines() {
        let text = "\
clients:
  ci: not-a-digest
rules:
  - name: a
    match:
      tool: a*b
      client: [ci, nobody]
      header: { name: 'x y', equals: 1, prefix: p }
      argument: { pointer: repo, host: 'https://x' }
    to: { platform: [gitlab, {}] }
    fallback: sometimes
    unless: x
  - name: a
    match: { tool: { regex: '(' }, header: { name: Authorization, equals: x }, argument: { pointer: /x } }
  - name: review-gitlab
    to: any
limit: {}
";
        let reported = problems(text);
        let expected = [
            "line 2 clients.ci: expected the client's key ids",
            "line 6 rules[0].match.tool = \"a*b\": expected a name, a beginning with *",
            "line 7 rules[0].match.client[1] = \"nobody\": expected a name of `clients:`",
            "line 8 rules[0].match.header.name = \"x y\": expected the name of a header",
            "line 8 rules[0].match.header (a mapping): expected exactly one of equals, prefix, regex",
            "line 9 rules[0].match.argument.pointer = \"repo\": expected a JSON pointer",
            "line 9 rules[0].match.argument.host = \"https://x\": expected a host name",
            "line 10 rules[0].to.platform[1] (a mapping): expected a label's value",
            "line 11 rules[0].fallback = \"sometimes\": expected none, any, or a list of labels",
            "line 12 rules[0] has the unknown key \"unless\": expected one of name, match, to, fallback",
            "line 13 rules[1].name = \"a\": expected another name",
            "line 13 rules[1] lacks \"to\": expected the labels",
            "line 14 rules[1].match.tool.regex = \"(\": expected a regular expression",
            "line 14 rules[1].match.header.name = \"Authorization\": expected another header",
            "line 14 rules[1].match.argument (a mapping): expected exactly one of equals, prefix, regex, host",
            "line 15 rules[2].name = \"review-gitlab\": expected another name",
            "line 17 has the unknown key \"limit\": expected one of clients, rules, pools, limits",
        ];
        for line in expected {
            assert!(reported.iter().any(|one| one.starts_with(line)), "{line}\n{}", reported.join("\n"));
        }
        assert_eq!(reported.len(), expected.len(), "{}", reported.join("\n"));
        assert!(!reported.join(" ").contains("not-a-digest"), "it may be the key itself");
    }

    #[test]
    fn clients_are_given_by_the_digests_of_their_keys() {
        let id = client_digest(" code1\n");
        assert!(id.starts_with("b35f4595") && id.len() == 64);
        let text = format!("clients:\n  ci: {id}\n  both: [{id}, {}]\n", client_digest("x").to_uppercase());
        let routes = Routes::parse(&text).unwrap();
        assert_eq!(routes.clients["both"][0], routes.clients["ci"][0]);
        let known = routes.clients["both"][1];
        assert_eq!(routes.unknown_clients(&[known]), ["ci"]);
    }
}
