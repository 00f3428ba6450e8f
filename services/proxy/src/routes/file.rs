//! The `ROUTES` file: its top level, and how it is read. Must not know what happens with what it says.
//!
//! Sections of other owners (limits, pools) are keys of the top level, each read by its owner's function.

mod balance;
mod rules;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime::document::{Cursor, Document, DocumentProblems, Rendered};
use sha2::{Digest, Sha256};

use super::balance::{LimitRules, PoolRule};
use super::rule::Rule;

/// Largest file, in bytes.
const LARGEST: u64 = 4 << 20;

/// Keys of the top level.
const TOP: [&str; 4] = ["clients", "rules", "pools", "limits"];

/// What the file says. Without a file: the built-in rules alone.
#[derive(Clone, Debug)]
pub struct Routes {
    /// Clients by the operator's names for them, as SHA-256 digests of their keys.
    pub(crate) clients: BTreeMap<String, Vec<[u8; 32]>>,
    /// The first that matches counts. The built-in ones come last.
    pub(crate) rules: Vec<Arc<Rule>>,
    /// How calls are shared out; the first that is for a tool counts.
    pub(crate) pools: Vec<PoolRule>,
    /// How fast calls may come.
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
    /// Reads the text of a file. The error names everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, DocumentProblems> {
        Document::parse(text, Rendered::Open)?.read(Rendered::Open, Self::read)
    }

    fn read(root: &Cursor<'_>) -> Self {
        let Some(top) = root.entries_of(&TOP) else { return Self::default() };
        let section = |name| top.get(name).filter(|place| !place.is_null());
        let clients = section("clients").map(|place| read_clients(&place)).unwrap_or_default();
        let given = section("rules").map(|place| rules::read(&place, &clients)).unwrap_or_default();
        let rules = given.into_iter().chain(Rule::built_in()).collect();
        let pools = section("pools").map(|place| balance::pools(&place)).unwrap_or_default();
        let limits = section("limits").map(|place| balance::limits(&place, &clients)).unwrap_or_default();
        Self { clients, rules, pools, limits }
    }

    /// How many rules the operator gave.
    pub fn own_rules(&self) -> usize {
        self.rules.iter().filter(|rule| rule.line != 0).count()
    }

    /// Names of the clients that rules may be for.
    pub fn client_names(&self) -> impl Iterator<Item = &str> {
        self.clients.keys().map(String::as_str)
    }

    /// Names of clients none of whose keys is among these digests: nobody can be one of them.
    pub fn unknown_clients(&self, keys: &[[u8; 32]]) -> Vec<&str> {
        let unknown = |digests: &Vec<[u8; 32]>| !digests.iter().any(|digest| keys.contains(digest));
        self.clients.iter().filter(|(_, digests)| unknown(digests)).map(|(name, _)| name.as_str()).collect()
    }
}

fn read_clients(place: &Cursor<'_>) -> BTreeMap<String, Vec<[u8; 32]>> {
    let expected =
        "the client's key ids: 64 hexadecimal digits each, as `mcp-relay routes key-id` prints them";
    let Some(entries) = place.entries("a mapping of clients' names to their key ids") else {
        return BTreeMap::new();
    };
    let ids = |place: Cursor<'_>| {
        // Somebody may have put the key itself here.
        let ids = place.hidden().one_or_many();
        let read = |place: &Cursor<'_>| {
            let id = place.text(expected)?;
            parse_digest(id).or_else(|| {
                place.error(expected);
                None
            })
        };
        ids.iter().filter_map(read).collect()
    };
    entries.all().map(|(name, place)| (name.to_owned(), ids(place))).collect()
}

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let text: &[u8; 64] = text.trim().as_bytes().try_into().ok()?;
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(digest)
}

/// How a client's key stands in the file: SHA-256 of the trimmed key, in hexadecimal digits.
pub fn client_digest(key: &str) -> String {
    let digest = Sha256::digest(key.trim().as_bytes());
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// A file as it was read at start.
#[derive(Clone, Debug)]
pub struct RoutesFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes, for whoever follows its changes.
    pub content: Vec<u8>,
    /// What it says.
    pub routes: Arc<Routes>,
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// What it says cannot be used.
    #[error(transparent)]
    Bad(#[from] DocumentProblems),
}

impl RoutesFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, RoutesError> {
        if std::fs::metadata(path)?.len() > LARGEST {
            return Err(std::io::Error::other(format!("it is larger than {LARGEST} bytes")).into());
        }
        let content = std::fs::read(path)?;
        let routes = Arc::new(parse_bytes(&content)?);
        Ok(Self { path: path.to_owned(), content, routes })
    }
}

/// The same for bytes.
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
    fn an_empty_file_leaves_the_built_in_rules() {
        for text in ["", "# none\n", "rules:\nclients:\n", "rules: []\nclients: {}\n"] {
            let routes = Routes::parse(text).unwrap();
            assert_eq!(routes.own_rules(), 0, "{text:?}");
            let names: Vec<&str> = routes.rules.iter().map(|rule| rule.name.as_str()).collect();
            assert_eq!(names, ["review-gitlab", "review-github"]);
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_line() {
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
        let told = problems(text);
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
            assert!(told.iter().any(|told| told.starts_with(line)), "{line}\n{}", told.join("\n"));
        }
        assert_eq!(told.len(), expected.len(), "{}", told.join("\n"));
        assert!(!told.join(" ").contains("not-a-digest"), "it may be the key itself");
    }

    #[test]
    fn keys_are_named_by_their_digests() {
        let id = client_digest(" code1\n");
        assert!(id.starts_with("b35f4595") && id.len() == 64);
        let text = format!("clients:\n  ci: {id}\n  both: [{id}, {}]\n", client_digest("x").to_uppercase());
        let routes = Routes::parse(&text).unwrap();
        assert_eq!(routes.clients["both"][0], routes.clients["ci"][0]);
        let known = routes.clients["both"][1];
        assert_eq!(routes.unknown_clients(&[known]), ["ci"]);
    }
}
