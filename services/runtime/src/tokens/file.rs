//! The `AUTH_ISSUERS` file: issuers of tokens, with what their tokens must be. Must not know keys or tokens.

use std::io;
use std::path::Path;

use url::Url;

use super::algorithm::{EXPECTED as ALGORITHMS, SigningAlgorithm};
use super::issuer::{ClaimNames, ClaimPath, IntrospectionEndpoint, Issuer, KeyLocation};
use super::jwks::KeySet;
use crate::document::{Cursor, Document, DocumentProblems, Map, Rendered};
use crate::follow::content_digest;
use crate::tls::ClientFiles;

/// Size of the file, in bytes.
const MAX_FILE_SIZE: u64 = 1 << 20;

/// Issuers of one file, and entries of one list.
const MAX_ENTRIES: usize = 100;

/// Seconds between the clocks of issuer and proxy that are allowed for by default.
const DEFAULT_LEEWAY: u64 = 30;

const ENTRY: [&str; 12] = [
    "issuer",
    "audiences",
    "algorithms",
    "typ",
    "jwks_file",
    "jwks_url",
    "claims",
    "require",
    "scopes",
    "leeway",
    "introspection",
    "ca_file",
];

/// Why a file of issuers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    /// It cannot be read.
    #[error("it cannot be read: {}", crate::io_fault::describe(.0))]
    Unreadable(#[from] io::Error),
    /// It is no text, or too large.
    #[error("it is not UTF-8 text of at most {MAX_FILE_SIZE} bytes")]
    NotText,
    /// It has problems.
    #[error(transparent)]
    Yaml(#[from] DocumentProblems),
    /// A file that it names cannot be used.
    #[error("{issuer}: {problem}")]
    Named {
        /// Issuer of the entry.
        issuer: String,
        /// What is wrong.
        problem: String,
    },
}

/// The issuers that a file lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuersFile {
    issuers: Vec<Issuer>,
    digest: [u8; 32],
}

impl IssuersFile {
    /// Reads and checks a file. Blocks the thread.
    ///
    /// # Errors
    /// What keeps the file from being used.
    pub fn read(path: &Path) -> Result<Self, IssuersError> {
        if std::fs::metadata(path)?.len() > MAX_FILE_SIZE {
            return Err(IssuersError::NotText);
        }
        Self::from_bytes(&std::fs::read(path)?)
    }

    /// Parses the content of a file.
    ///
    /// # Errors
    /// What keeps the content from being used.
    pub fn from_bytes(content: &[u8]) -> Result<Self, IssuersError> {
        let text = std::str::from_utf8(content).map_err(|_| IssuersError::NotText)?;
        let issuers = Document::parse(text, Rendered::Open)?.read(Rendered::Open, read)?;
        Ok(Self { issuers, digest: content_digest(content) })
    }

    /// Checks the files that the entries name. Blocks the thread.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn checked(self) -> Result<Self, IssuersError> {
        for issuer in &self.issuers {
            let named = |problem| IssuersError::Named { issuer: issuer.identifier.clone(), problem };
            if let KeyLocation::File(path) = issuer.keys() {
                let unreadable =
                    |error| format!("jwks_file cannot be read: {}", crate::io_fault::describe(&error));
                let keys = std::fs::read(path).map_err(unreadable).and_then(|text| KeySet::parse(&text));
                keys.map_err(named)?;
            }
            if let Some(endpoint) = &issuer.introspection {
                let unreadable = |error| {
                    format!("client_secret_file cannot be read: {}", crate::io_fault::describe(&error))
                };
                std::fs::read(&endpoint.secret).map_err(unreadable).map_err(named)?;
            }
            let trusted = ClientFiles { roots: issuer.ca.clone(), ..ClientFiles::default() };
            if let Some(error) = trusted.check().first() {
                return Err(named(format!("ca_file: {error}")));
            }
        }
        Ok(self)
    }

    /// Returns the issuers in the order of the file.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// Returns the digest of the file's content.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

fn read(root: &Cursor<'_>) -> Vec<Issuer> {
    let Some(list) =
        root.entries_of(&["issuers"]).and_then(|top| top.required("issuers", "a list of issuers of tokens"))
    else {
        return Vec::new();
    };
    let cursors = list.items("a list of issuers of tokens");
    if cursors.is_empty() || cursors.len() > MAX_ENTRIES {
        list.error(format!("1 to {MAX_ENTRIES} issuers"));
    }
    let mut issuers: Vec<Issuer> = Vec::new();
    for cursor in &cursors {
        let Some(issuer) = read_issuer(cursor) else { continue };
        if issuers.iter().any(|other| other.identifier == issuer.identifier) {
            cursor.error("an issuer that is not listed above");
        }
        let asks = |issuer: &Issuer| issuer.introspection.is_some();
        if asks(&issuer) && issuers.iter().any(asks) {
            // A token that says nothing of its issuer would be shown to all of them.
            cursor.error("one issuer with introspection at most");
        }
        issuers.push(issuer);
    }
    issuers
}

fn read_issuer(cursor: &Cursor<'_>) -> Option<Issuer> {
    let map = cursor.entries_of(&ENTRY)?;
    let issuer = map.required("issuer", "the issuer's URL, exactly as its tokens have it in iss")?;
    let identifier = secure_url(&issuer).and(issuer.as_text());
    let texts =
        |key: &str, expected: &str| map.get(key).map(|list| texts(&list, expected)).unwrap_or_default();
    let scopes = texts("scopes", "names of scopes");
    if let Some(list) = map.get("scopes").filter(|_| !scopes.iter().all(|scope| is_scope(scope))) {
        list.error(
            "names of scopes without spaces and quotes, and not offline_access, which is the client's affair",
        );
    }
    Some(Issuer {
        keys: read_keys(cursor, &map),
        audiences: texts("audiences", "values of aud"),
        algorithms: map
            .get("algorithms")
            .map_or(SigningAlgorithm::DEFAULT.to_vec(), |list| read_algorithms(&list)),
        types: map.get("typ").map_or_else(|| vec!["at+jwt".to_owned()], |list| read_types(&list)),
        claims: map.get("claims").map(|claims| read_claims(&claims)).unwrap_or_default(),
        require: map.get("require").map(|claims| read_required(&claims)).unwrap_or_default(),
        scopes,
        leeway: map.get("leeway").map_or(DEFAULT_LEEWAY, |leeway| read_leeway(&leeway)),
        introspection: map.get("introspection").and_then(|endpoint| read_introspection(&endpoint)),
        ca: map.get("ca_file").and_then(|path| Some(path.text("the path of a PEM file")?.into())),
        identifier: identifier?.to_owned(),
    })
}

/// Returns whether a text may stand in a list of scopes and in a header (RFC 6749, 3.3).
fn is_scope(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.bytes().all(fits) && text != "offline_access"
}

fn texts(list: &Cursor<'_>, expected: &str) -> Vec<String> {
    let items = list.one_or_many();
    if items.is_empty() || items.len() > MAX_ENTRIES {
        list.error(format!("1 to {MAX_ENTRIES} {expected}"));
    }
    items.iter().filter_map(|item| item.text(expected)).map(str::to_owned).collect()
}

/// Reads values that claims are compared with: texts, numbers and flags.
fn scalars(list: &Cursor<'_>, expected: &str) -> Vec<String> {
    let items = list.one_or_many();
    if items.is_empty() || items.len() > MAX_ENTRIES {
        list.error(format!("1 to {MAX_ENTRIES} {expected}"));
    }
    let read = |item: &Cursor<'_>| {
        let found = item.scalar(expected).filter(|text| !text.trim().is_empty());
        if found.is_none() {
            item.error(expected);
        }
        found
    };
    items.iter().filter_map(read).collect()
}

fn read_algorithms(list: &Cursor<'_>) -> Vec<SigningAlgorithm> {
    let items = list.one_or_many();
    if items.is_empty() {
        list.error(ALGORITHMS);
    }
    let read = |item: &Cursor<'_>| {
        let found = SigningAlgorithm::parse(item.text(ALGORITHMS)?);
        if found.is_none() {
            item.error(ALGORITHMS);
        }
        found
    };
    items.iter().filter_map(read).collect()
}

fn read_types(list: &Cursor<'_>) -> Vec<String> {
    texts(list, "values of typ, or none for tokens without one").iter().map(|text| media_type(text)).collect()
}

/// Returns a media type in lower case, `application/` left out (RFC 7515, 4.1.9).
pub(super) fn media_type(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    lower.strip_prefix("application/").map_or(lower.clone(), str::to_owned)
}

fn read_keys(cursor: &Cursor<'_>, map: &Map<'_>) -> KeyLocation {
    match (map.get("jwks_file"), map.get("jwks_url")) {
        (None, None) => KeyLocation::Discovery,
        (Some(path), None) => path
            .text("the path of a file with a JWK set")
            .map_or(KeyLocation::Discovery, |path| KeyLocation::File(path.into())),
        (None, Some(url)) => secure_url(&url).map_or(KeyLocation::Discovery, KeyLocation::Url),
        (Some(_), Some(_)) => {
            cursor.error("jwks_file or jwks_url, not both");
            KeyLocation::Discovery
        }
    }
}

fn read_claims(cursor: &Cursor<'_>) -> ClaimNames {
    let mut names = ClaimNames::default();
    let Some(map) = cursor.entries_of(&["subject", "name", "groups", "scopes"]) else { return names };
    let path =
        |key| Some(ClaimPath(map.get(key)?.text("the name of a claim, or a JSON pointer")?.to_owned()));
    for (key, place) in
        [("subject", &mut names.subject), ("name", &mut names.name), ("groups", &mut names.groups)]
    {
        if let Some(path) = path(key) {
            *place = path;
        }
    }
    if let Some(path) = path("scopes") {
        names.scopes = vec![path];
    }
    names
}

fn read_required(cursor: &Cursor<'_>) -> Vec<(ClaimPath, Vec<String>)> {
    let Some(map) = cursor.entries("claims with the values that they must have") else { return Vec::new() };
    map.all().map(|(claim, values)| (ClaimPath(claim.to_owned()), scalars(&values, "values"))).collect()
}

fn read_leeway(cursor: &Cursor<'_>) -> u64 {
    let expected = "whole seconds from 0 to 300";
    let Some(text) = cursor.scalar(expected) else { return DEFAULT_LEEWAY };
    let seconds = text.parse::<u32>().ok().filter(|whole| *whole <= 300);
    if seconds.is_none() {
        cursor.error(expected);
    }
    seconds.map_or(DEFAULT_LEEWAY, u64::from)
}

fn read_introspection(cursor: &Cursor<'_>) -> Option<IntrospectionEndpoint> {
    let map = cursor.entries_of(&["url", "client_id", "client_secret_file"])?;
    let url = secure_url(&map.required("url", "the URL of the introspection endpoint")?);
    let client = map.required("client_id", "the id by which this server asks")?.text("a client's id");
    let secret = map.required("client_secret_file", "the path of a file with the client's secret")?;
    let secret = secret.text("the path of a file with the client's secret");
    Some(IntrospectionEndpoint { url: url?, client: client?.to_owned(), secret: secret?.into() })
}

fn secure_url(cursor: &Cursor<'_>) -> Option<Url> {
    let expected = "an https:// URL without user, query and fragment (http:// for this machine alone)";
    let url = cursor.text(expected).and_then(|text| Url::parse(text).ok()).filter(is_secure);
    if url.is_none() && cursor.as_text().is_some_and(|text| !text.trim().is_empty()) {
        cursor.error(expected);
    }
    url
}

/// Returns whether answers from this URL are those of its host: TLS, or a server on this machine.
pub(super) fn is_secure(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    is_bare && (url.scheme() == "https" || url.scheme() == "http" && is_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<IssuersFile, String> {
        IssuersFile::from_bytes(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_has_strict_defaults_and_each_of_them_can_be_changed() {
        let file = parse("issuers:\n- issuer: https://id.example/realms/r\n").unwrap();
        let issuer = &file.issuers()[0];
        assert_eq!((&issuer.types[..], issuer.leeway), (&["at+jwt".to_owned()][..], 30));
        assert_eq!(issuer.algorithms, SigningAlgorithm::DEFAULT);
        assert_eq!((issuer.keys(), issuer.audiences.len()), (&KeyLocation::Discovery, 0));
        let file = parse(
            "issuers:\n- issuer: https://id.example\n  audiences: https://relay.example/mcp\n  algorithms: [ES256]\n  \
             typ: [application/JWT, none]\n  jwks_file: /keys.json\n  claims: {groups: /realm_access/roles, scopes: s}\n  \
             require: {typ: Bearer, azp: [a, b]}\n  scopes: [mcp]\n  leeway: 0\n  ca_file: /ca.pem\n  introspection: \
             {url: https://id.example/introspect, client_id: relay, client_secret_file: /secret}\n",
        )
        .unwrap();
        let issuer = &file.issuers()[0];
        assert_eq!(issuer.types, ["jwt", "none"]);
        assert_eq!((issuer.leeway, issuer.algorithms.len(), issuer.require.len()), (0, 1, 2));
        assert_eq!(issuer.claims.groups, ClaimPath("/realm_access/roles".into()));
        assert_eq!(issuer.claims.scopes, [ClaimPath("s".into())]);
        assert!(issuer.introspection.is_some() && issuer.ca().is_some());
    }

    #[test]
    fn what_cannot_be_used_is_a_problem_with_its_line() {
        let entry = |more: &str| format!("issuers:\n- issuer: https://id.example\n  {more}\n");
        for (bad, expected) in [
            (String::new(), "issuers"),
            ("issuers: []".into(), "1 to 100"),
            ("issuers:\n- issuer: http://id.example\n".into(), "https://"),
            ("issuers:\n- issuer: https://u:p@id.example\n".into(), "https://"),
            ("issuers:\n- issuer: https://id.example/?a=b\n".into(), "https://"),
            ("issuers:\n- issuer: ''\n".into(), "https://"),
            ("issuers:\n- {}\n".into(), "lacks \"issuer\""),
            ("issuers:\n- issuer: https://a.example\n- issuer: https://a.example\n".into(), "line 3"),
            (entry("algorithms: [HS256]"), "RS256"),
            (entry("algorithms: [none]"), "RS256"),
            (entry("algorithms: []"), "RS256"),
            (entry("audiences: []"), "1 to 100"),
            (entry("scopes: [offline_access]"), "offline_access"),
            (entry("scopes: ['a b']"), "without spaces"),
            (entry("scopes: ['a\"b']"), "without spaces"),
            (entry("leeway: 301"), "0 to 300"),
            (entry("leeway: 0.5"), "0 to 300"),
            (entry("jwks_url: http://id.example/keys"), "https://"),
            (entry("jwks_file: a\n  jwks_url: https://id.example/keys"), "not both"),
            (entry("introspection: {url: https://id.example}"), "client_id"),
            (entry("colour: red"), "unknown key"),
        ] {
            let error = parse(&bad).unwrap_err();
            assert!(error.contains(expected), "{bad}: {error}");
        }
        let asking = "introspection: {url: https://a.example/i, client_id: c, client_secret_file: f}";
        let two = format!(
            "issuers:\n- issuer: https://a.example\n  {asking}\n- issuer: https://b.example\n  {asking}\n"
        );
        assert!(parse(&two).unwrap_err().contains("one issuer with introspection"));
        assert!(parse("issuers:\n- issuer: http://127.0.0.1:8080/realms/r\n").is_ok());
    }
}
