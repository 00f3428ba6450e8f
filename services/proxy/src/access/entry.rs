//! An entry of `SLAVE_CODES_FILE`, and its reader for YAML. Problems are recorded with their position; values are never
//! printed, since they may be codes.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::link::handshake::check_slave_name;
use runtime::document::{Cursor, Map};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::code::CodeDigest;
use super::code_limits::CodeLimits;
use super::policy::{CodePolicy, LabelValues, ToolPattern};

/// A code's digest and what the code allows.
#[derive(Clone, Debug)]
pub struct CodeEntry {
    pub(super) digest: CodeDigest,
    pub(super) policy: Arc<CodePolicy>,
}

/// Keys of an entry.
const KEYS: [&str; 8] = ["code", "sha256", "name", "labels", "tools", "limits", "not_before", "not_after"];

/// Reads the entry at the cursor. Returns `None` after at least one problem was recorded.
pub(super) fn read_entry(cursor: &Cursor<'_>) -> Option<CodeEntry> {
    if cursor.is_text() {
        return Some(CodeEntry { digest: code(cursor)?, policy: Arc::default() });
    }
    let entries = cursor.entries_of(&KEYS)?;
    let digest = match (entries.get("code"), entries.get("sha256")) {
        (Some(value), None) => code(&value),
        (None, Some(value)) => sha256(&value),
        _ => {
            cursor.error("either code, or sha256 (the SHA-256 of the code in hex)");
            None
        }
    };
    let policy = policy(&entries);
    if let (Some(from), Some(end)) = (policy.not_before, policy.not_after)
        && from >= end
    {
        cursor.error("a not_before that is earlier than not_after");
    }
    Some(CodeEntry { digest: digest?, policy: Arc::new(policy) })
}

fn policy(entries: &Map<'_>) -> CodePolicy {
    let (forced, allowed) = entries.get("labels").and_then(|cursor| labels(&cursor)).unwrap_or_default();
    CodePolicy {
        name: entries.get("name").and_then(|cursor| name(&cursor)),
        forced,
        allowed,
        tools: entries.get("tools").map(|cursor| cursor.one_or_many().iter().filter_map(tool).collect()),
        limits: entries.get("limits").map(|cursor| CodeLimits::read(&cursor)).unwrap_or_default(),
        not_before: entries.get("not_before").and_then(|cursor| time(&cursor)),
        not_after: entries.get("not_after").and_then(|cursor| time(&cursor)),
    }
}

/// Parses the text at the cursor with `read`; records what was `expected` where that fails.
fn parse<T>(cursor: &Cursor<'_>, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let value = read(cursor.text(expected)?.trim());
    if value.is_none() {
        cursor.error(expected);
    }
    value
}

fn code(cursor: &Cursor<'_>) -> Option<CodeDigest> {
    let expected = "a code: text without commas, in quotes if it looks like a number";
    parse(cursor, expected, |text| (!text.contains(',')).then(|| CodeDigest::of(text)))
}

fn sha256(cursor: &Cursor<'_>) -> Option<CodeDigest> {
    parse(cursor, "64 hex digits in quotes, as printf %s \"$CODE\" | sha256sum prints them", |text| {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(CodeDigest(digest))
    })
}

fn name(cursor: &Cursor<'_>) -> Option<Arc<str>> {
    let fits = |text: &str| check_slave_name(text).is_ok().then(|| text.into());
    parse(cursor, "1 to 63 letters, digits, '-', '_' or '.'", fits)
}

fn time(cursor: &Cursor<'_>) -> Option<OffsetDateTime> {
    let expected = "a time as RFC 3339 has it, for example 2027-01-31T00:00:00Z";
    parse(cursor, expected, |text| OffsetDateTime::parse(text, &Rfc3339).ok())
}

fn tool(cursor: &Cursor<'_>) -> Option<ToolPattern> {
    parse(cursor, "the name of a tool, or the beginning of names with * at its end", |text| {
        let prefix = text.strip_suffix('*');
        let tool = prefix
            .map_or(ToolPattern::Exact(text.to_owned()), |prefix| ToolPattern::Prefix(prefix.to_owned()));
        (!prefix.unwrap_or(text).contains('*')).then_some(tool)
    })
}

/// Forced labels, and the allowed ones if they are restricted.
type Labels = (BTreeMap<String, String>, Option<BTreeMap<String, LabelValues>>);

fn labels(cursor: &Cursor<'_>) -> Option<Labels> {
    let entries = cursor.entries_of(&["set", "allow"])?;
    let forced = entries.get("set").map(|set| each(&set, label_value)).unwrap_or_default();
    let allowed = entries.get("allow").map(|allow| each(&allow, label_values));
    Some((forced, allowed))
}

/// Reads a mapping of labels, each value with `read`.
fn each<T>(cursor: &Cursor<'_>, read: fn(&Cursor<'_>) -> Option<T>) -> BTreeMap<String, T> {
    if cursor.is_null() {
        return BTreeMap::new();
    }
    let Some(entries) = cursor.entries("a mapping of labels") else { return BTreeMap::new() };
    let pair = |(key, value): (&str, Cursor<'_>)| {
        if !(1..=63).contains(&key.len()) {
            value.error("a label's name of 1 to 63 characters");
        }
        Some((key.to_owned(), read(&value)?))
    };
    entries.all().filter_map(pair).collect()
}

fn label_value(cursor: &Cursor<'_>) -> Option<String> {
    let expected = "text of at most 255 characters, in quotes if it looks like a number";
    parse(cursor, expected, |text| (text.len() <= 255).then(|| text.to_owned()))
}

/// Reads the allowed values of a label: a value, a list of values, or `*` for any.
fn label_values(cursor: &Cursor<'_>) -> Option<LabelValues> {
    let cursors = cursor.one_or_many();
    let values: Vec<String> = cursors.iter().filter_map(label_value).collect();
    let read = if values == ["*"] { LabelValues::Any } else { LabelValues::Listed(values) };
    (!cursors.is_empty()).then_some(read)
}

#[cfg(test)]
mod tests {
    use super::super::file::CodesFile;
    use super::*;

    fn read(text: &str) -> Result<CodeEntry, String> {
        let file = CodesFile::parse(&format!("codes:\n- {text}\n"));
        file.map(|mut file| file.entries.remove(0)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_is_read_with_all_its_keys() {
        let digest = "b35f4595d2e6b5f2a5f0c8f6e9b8d3cb0000000000000000000000000000000F";
        let CodeEntry { digest, policy } = read(&format!(
            "{{sha256: '{digest}', name: office-1, labels: {{set: {{platform: gitlab}}, allow: {{region: [eu, us], team: '*', one: x}}}}, \
             tools: [echo, 'git_*'], not_before: '2026-01-01T00:00:00Z', not_after: '2027-01-01T00:00:00+01:00'}}"
        ))
        .unwrap();
        assert_eq!((digest.0[0], digest.0[31]), (0xb3, 0x0f));
        assert_eq!(policy.name(), Some("office-1"));
        assert_eq!(policy.forced["platform"], "gitlab");
        let allowed = policy.allowed.as_ref().unwrap();
        assert_eq!(allowed["team"], LabelValues::Any);
        assert_eq!(allowed["region"], LabelValues::Listed(vec!["eu".into(), "us".into()]));
        assert_eq!(allowed["one"], LabelValues::Listed(vec!["x".into()]));
        assert_eq!(
            policy.tools,
            Some(vec![ToolPattern::Exact("echo".into()), ToolPattern::Prefix("git_".into())])
        );
        assert!(policy.not_before < policy.not_after);
    }

    #[test]
    fn problems_are_reported_without_the_value() {
        for (text, hint) in [
            ("{name: hush}", "codes[0]: expected either code, or sha256"),
            ("{code: hush, sha256: hush}", "either code"),
            ("{sha256: hush}", "64 hex digits"),
            ("{code: ' '}", "a code"),
            ("{code: 'hush,hush'}", "commas"),
            ("{code: 31337}", "quotes"),
            ("{code: a, hush: 1}", "one of code, sha256"),
            ("{code: a, name: 'hush hush'}", "1 to 63"),
            ("{code: a, labels: hush}", "set, allow"),
            ("{code: a, labels: {hush: 1}}", "one of set, allow"),
            ("{code: a, labels: {set: {x: 31337}}}", "labels.set.x: expected text"),
            ("{code: a, labels: {allow: {x: [31337]}}}", "labels.allow.x[0]: expected text"),
            ("{code: a, tools: ['hush*hush']}", "the name of a tool"),
            ("{code: a, not_after: hush}", "RFC 3339"),
            ("{code: a, not_before: 2027-01-01}", "not_before: expected a time"),
            ("{code: a, not_before: '2027-01-01T00:00:00Z', not_after: '2026-01-01T00:00:00Z'}", "earlier"),
            ("31337", "a mapping with code"),
        ] {
            let problems = read(text).unwrap_err();
            assert!(problems.contains("line 2") && problems.contains(hint), "{text}: {problems}");
            assert!(!problems.contains("hush") && !problems.contains("31337"), "{text}: {problems}");
        }
    }
}
