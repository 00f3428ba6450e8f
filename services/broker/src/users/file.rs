//! The file of users: YAML, read and written. Problems are reported by line and never quote the file.

use std::fmt::Write as _;
use std::path::Path;

use runtime::document::{Cursor, Document, DocumentProblems, Map, Rendered};
use sha2::{Digest, Sha256};

use super::one_time::OneTimeSecret;
use crate::passwords;

/// Most users of a file.
pub const MAX_USERS: usize = 10_000;
/// Largest file, in bytes.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// Most groups of a user.
const MAX_GROUPS: usize = 64;

/// Keys of an entry.
const ENTRY: [&str; 4] = ["name", "password", "totp", "groups"];

/// A user who may sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Name; unique in the file, in lower case.
    pub name: String,
    /// Hash of the password, a PHC text of argon2id.
    pub password: String,
    /// Secret of one-time passwords, where the user must give one.
    pub one_time: Option<OneTimeSecret>,
    /// Groups, by name.
    pub groups: Vec<String>,
}

impl User {
    /// Returns what grants of the user are bound to: another password hash or secret has another stamp.
    pub(crate) fn stamp(&self) -> String {
        let one_time = self.one_time.as_ref().map(OneTimeSecret::base32).unwrap_or_default();
        let digest: [u8; 32] = Sha256::new()
            .chain_update(b"mcp-relay user stamp 1\0")
            .chain_update(self.password.as_bytes())
            .chain_update([0])
            .chain_update(one_time.as_bytes())
            .finalize()
            .into();
        digest[..8].iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "User({}, redacted)", self.name)
    }
}

/// Returns whether a text can name a user or a group: 1 to 64 letters, digits, `.`, `_`, `@`, `+` and `-`, the first a letter or digit.
pub fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte);
    text.len() <= 64
        && text.bytes().all(fits)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// The users that a file lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsersFile {
    /// Users, by name.
    pub users: Vec<User>,
}

impl UsersFile {
    /// Reads and checks a file, and returns its bytes too. Blocks the thread.
    ///
    /// # Errors
    /// What keeps the file from being used; quotes nothing of it.
    pub fn read(path: &Path) -> Result<(Self, Vec<u8>), String> {
        let content = std::fs::read(path)
            .map_err(|error| format!("it cannot be read: {}", runtime::io_fault::describe(&error)))?;
        Self::parse(&content).map(|file| (file, content))
    }

    /// Parses the content of a file: a list of users, or a mapping with `users`.
    ///
    /// # Errors
    /// What keeps it from being used; quotes nothing of it.
    pub fn parse(content: &[u8]) -> Result<Self, String> {
        if content.len() as u64 > MAX_BYTES {
            return Err(format!("it has more than {MAX_BYTES} bytes"));
        }
        let text = std::str::from_utf8(content).map_err(|_| "it is no UTF-8 text".to_owned())?;
        let words = |problems: DocumentProblems| problems.to_string();
        let document = Document::parse(text, Rendered::Hidden).map_err(words)?;
        document.read(Rendered::Hidden, read_users).map_err(words)
    }

    /// Returns the text of a file with these users.
    pub fn to_text(&self) -> String {
        let mut text = String::from(
            "# Users of mcp-relay's OAuth broker (BROKER_USERS_FILE); written by: mcp-relay users\nusers:\n",
        );
        if self.users.is_empty() {
            return text.replace("users:\n", "users: []\n");
        }
        for user in &self.users {
            let _ = writeln!(text, "  - name: \"{}\"\n    password: \"{}\"", user.name, user.password);
            if let Some(secret) = &user.one_time {
                let _ = writeln!(text, "    totp: \"{}\"", secret.base32());
            }
            if !user.groups.is_empty() {
                let groups: Vec<String> = user.groups.iter().map(|group| format!("\"{group}\"")).collect();
                let _ = writeln!(text, "    groups: [{}]", groups.join(", "));
            }
        }
        text
    }
}

fn read_users(root: &Cursor<'_>) -> UsersFile {
    let expected = "a list of users, each with name and password";
    let entries = if root.is_list() {
        root.items(expected)
    } else {
        let list = root.entries_of(&["users"]).and_then(|map| map.get("users"));
        list.filter(|list| !list.is_null()).map(|list| list.items(expected)).unwrap_or_default()
    };
    if entries.len() > MAX_USERS {
        root.error(format!("at most {MAX_USERS} users"));
        return UsersFile::default();
    }
    let mut users: Vec<User> = Vec::new();
    let mut names = std::collections::HashSet::new();
    for entry in entries {
        let Some(user) = read_user(&entry) else { continue };
        if !names.insert(user.name.clone()) {
            entry.error("a name that no user before has, upper and lower case aside");
        }
        users.push(user);
    }
    users.sort_by(|a, b| a.name.cmp(&b.name));
    UsersFile { users }
}

fn read_user(entry: &Cursor<'_>) -> Option<User> {
    let map = entry.entries_of(&ENTRY)?;
    let name = required(entry, &map, "name", "a name of letters, digits, '.', '_', '@', '+' and '-'").filter(
        |(cursor, name)| {
            checked(cursor, is_name(name), "a name of 1 to 64 letters, digits, '.', '_', '@', '+' and '-'")
        },
    );
    let expected = "a password hash of mcp-relay users (argon2id, at most 256 MiB)";
    let password = required(entry, &map, "password", expected)
        .filter(|(cursor, hash)| checked(cursor, passwords::is_usable(hash), expected));
    let one_time = match map.get("totp").filter(|cursor| !cursor.is_null()) {
        None => None,
        Some(cursor) => {
            let expected = "a secret of at least 16 bytes in base32";
            let secret = cursor.text(expected).and_then(OneTimeSecret::parse);
            if secret.is_none() {
                cursor.error(expected);
            }
            Some(secret?)
        }
    };
    let groups = map.get("groups").map(|cursor| read_groups(&cursor)).unwrap_or_default();
    let (name, password) = (name?.1.to_ascii_lowercase(), password?.1);
    Some(User { name, password, one_time, groups })
}

fn read_groups(cursor: &Cursor<'_>) -> Vec<String> {
    let expected = "at most 64 names of groups";
    let items = cursor.items(expected);
    if items.len() > MAX_GROUPS {
        cursor.error(expected);
        return Vec::new();
    }
    let read = |item: Cursor<'_>| {
        let name = item.text(expected).map(str::to_owned)?;
        checked(&item, is_name(&name), expected).then_some(name)
    };
    items.into_iter().filter_map(read).collect()
}

fn required<'a>(
    entry: &Cursor<'a>,
    map: &Map<'a>,
    key: &str,
    expected: &str,
) -> Option<(Cursor<'a>, String)> {
    let Some(cursor) = map.get(key) else {
        entry.error(format!("{key}: {expected}"));
        return None;
    };
    let text = cursor.text(expected)?.trim().to_owned();
    Some((cursor, text))
}

fn checked(cursor: &Cursor<'_>, is_good: bool, expected: &str) -> bool {
    if !is_good {
        cursor.error(expected);
    }
    is_good
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$8eeJx6hLZ2k0jOJ6tPmqN2o6jN8xOq1TzVYcWv1nW2k";

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let file = UsersFile {
            users: vec![
                User {
                    name: "ann@example.com".into(),
                    password: HASH.into(),
                    one_time: OneTimeSecret::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
                    groups: vec!["dev".into(), "ops".into()],
                },
                User { name: "bob".into(), password: HASH.into(), one_time: None, groups: Vec::new() },
            ],
        };
        assert!(file.users[0].one_time.is_some());
        assert_eq!(UsersFile::parse(file.to_text().as_bytes()).unwrap(), file);
        let empty = UsersFile::default();
        assert_eq!(UsersFile::parse(empty.to_text().as_bytes()).unwrap(), empty);
        assert_eq!(UsersFile::parse(b"").unwrap(), empty);
        assert!(!format!("{file:?}").contains("argon2id"));
    }

    #[test]
    fn a_file_with_faults_is_refused_and_never_quoted() {
        let entry = |rest: &str| format!("- {{name: hush-name, password: \"{HASH}\"{rest}}}\n");
        for (bad, expected) in [
            (entry("").repeat(2), "line 2"),
            (format!("{}- {{name: HUSH-NAME, password: \"{HASH}\"}}", entry("")), "line 2"),
            ("- {name: ann, password: hush}".into(), "argon2id"),
            (format!("- {{name: \"hush name\", password: \"{HASH}\"}}"), "a name"),
            (format!("- {{password: \"{HASH}\"}}"), "name"),
            ("- {name: hush}".into(), "password"),
            (entry(", totp: HUSH"), "base32"),
            (entry(", groups: [\"hush x\"]"), "groups"),
            (entry(", role: hush"), "unknown key"),
            ("users: hush".into(), "a list of users"),
            ("[hush".into(), "YAML"),
        ] {
            let error = UsersFile::parse(bad.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{bad}: {error}");
            assert!(!error.to_lowercase().contains("hush") && !error.contains("$argon2"), "{error}");
        }
        assert!(UsersFile::parse(&[0xff]).is_err());
    }

    #[test]
    fn a_stamp_changes_with_the_password_and_the_secret() {
        let user = User { name: "a".into(), password: HASH.into(), one_time: None, groups: Vec::new() };
        let other = User { password: HASH.replace("8ee", "9ee"), ..user.clone() };
        let secret =
            User { one_time: OneTimeSecret::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), ..user.clone() };
        let grouped = User { groups: vec!["x".into()], ..user.clone() };
        assert_ne!(user.stamp(), other.stamp());
        assert_ne!(user.stamp(), secret.stamp());
        assert_eq!(user.stamp(), grouped.stamp());
    }
}
