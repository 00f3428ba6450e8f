//! An entry of `SLAVE_CODES_FILE`, and its reader for YAML. Problems are recorded with their position; values are never
//! printed, since they may be codes.

use std::sync::Arc;

use protocol::link::handshake::check_slave_name;
use runtime::document::fields::parse;
use runtime::document::{Cursor, Map, fields};

use super::code::CodeDigest;
use super::code_limits::CodeLimits;
use super::policy::CodePolicy;
use super::{labels, provision};

/// A code's digest and what the code allows.
#[derive(Clone, Debug)]
pub struct CodeEntry {
    pub(super) digest: CodeDigest,
    pub(super) policy: Arc<CodePolicy>,
}

/// Keys of an entry.
const KEYS: [&str; 12] = [
    "code",
    "sha256",
    "name",
    "labels",
    "tools",
    "provide",
    "weight",
    "capacity",
    "limits",
    "certificate",
    "not_before",
    "not_after",
];

/// Largest `weight` of an entry, in percent.
const MAX_WEIGHT: u32 = 10_000;

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
    if let (Some(provide), None) = (entries.get("provide"), entries.get("name")) {
        provide.error(
            "a name beside provide: codes without a name are one domain and provide everything together",
        );
    }
    CodePolicy {
        name: entries.get("name").and_then(|cursor| name(&cursor)),
        labels: entries.get("labels").and_then(|cursor| labels::read(&cursor)).unwrap_or_default(),
        tools: entries
            .get("tools")
            .map(|cursor| cursor.one_or_many().iter().filter_map(provision::tool_pattern).collect()),
        provide: entries.get("provide").map(|cursor| provision::read(&cursor)).unwrap_or_default(),
        weight: entries.get("weight").and_then(|cursor| bound(&cursor, MAX_WEIGHT)),
        capacity: entries.get("capacity").and_then(|cursor| bound(&cursor, u32::MAX)),
        limits: entries.get("limits").map(|cursor| CodeLimits::read(&cursor)).unwrap_or_default(),
        certificates: entries
            .get("certificate")
            .map(|cursor| cursor.one_or_many().iter().filter_map(certificate).collect()),
        not_before: entries.get("not_before").and_then(|cursor| fields::time(&cursor)),
        not_after: entries.get("not_after").and_then(|cursor| fields::time(&cursor)),
    }
}

fn code(cursor: &Cursor<'_>) -> Option<CodeDigest> {
    let expected = "a code: text without commas, in quotes if it looks like a number";
    parse(cursor, expected, |text| (!text.contains(',')).then(|| CodeDigest::of(text)))
}

fn sha256(cursor: &Cursor<'_>) -> Option<CodeDigest> {
    fields::sha256(cursor).map(CodeDigest)
}

fn name(cursor: &Cursor<'_>) -> Option<Arc<str>> {
    let fits = |text: &str| check_slave_name(text).is_ok().then(|| text.into());
    parse(cursor, "1 to 63 letters, digits, '-', '_' or '.'", fits)
}

/// Reads the fingerprint of a certificate.
fn certificate(cursor: &Cursor<'_>) -> Option<[u8; 32]> {
    let expected =
        "sha256: and 64 hex digits in quotes, as openssl x509 -outform der | sha256sum prints them";
    parse(cursor, expected, |text| fields::digest_of_hex(text.strip_prefix("sha256:")?))
}

/// Reads a whole number from 1 to `most`.
fn bound(cursor: &Cursor<'_>, most: u32) -> Option<u32> {
    let expected = format!("a whole number from 1 to {most}");
    let value = cursor.scalar(&expected)?.parse().ok().filter(|value| (1..=most).contains(value));
    if value.is_none() {
        cursor.error(expected);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::super::file::CodesFile;
    use super::super::labels::LabelValues;
    use super::super::provision::Provided;
    use runtime::glob::Glob;

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
        assert_eq!(policy.labels.forced["platform"], "gitlab");
        let allowed = policy.labels.allowed.as_ref().unwrap();
        assert_eq!(allowed["team"], LabelValues::Any);
        assert_eq!(allowed["region"], LabelValues::Listed(vec!["eu".into(), "us".into()]));
        assert_eq!(allowed["one"], LabelValues::Listed(vec!["x".into()]));
        assert_eq!(policy.tools, Some(vec![Glob::new("echo"), Glob::new("git_*")]));
        assert!(policy.not_before < policy.not_after);
    }

    #[test]
    fn provisions_and_bounds_are_read() {
        let pin = format!("sha256:{}", "0f".repeat(32));
        let CodeEntry { policy, .. } = read(&format!(
            "{{code: hush, name: pay, weight: 250, capacity: 4, \
             provide: [echo, {{tool: 'review_*', exclusive: true}}, {{tool: x, digest: ['{pin}']}}]}}"
        ))
        .unwrap();
        assert_eq!((policy.weight, policy.capacity, policy.provide.len()), (Some(250), Some(4), 3));
        let provided = ["echo", "review_it", "x", "y"].map(|tool| policy.provided(tool));
        let (shared, exclusive) = (Some(Provided::Shared), Some(Provided::Exclusive));
        assert_eq!(provided, [shared, exclusive, shared, None]);
        assert_eq!(policy.provide[2].digests[0].to_string(), pin);
    }

    #[test]
    fn problems_are_reported_without_the_value() {
        for (text, hint) in [
            ("{name: hush}", "codes[0]: expected either code, or sha256"),
            ("{code: hush, sha256: hush}", "either code"),
            ("{sha256: hush}", "64 hex digits"),
            ("{code: ' '}", "a code"),
            ("{code: hush, provide: [t]}", "a name beside provide"),
            ("{code: hush, name: a, provide: {exclusive: true}}", "the name of a tool"),
            ("{code: hush, name: a, provide: [{tool: t, exclusive: hush}]}", "true or false"),
            ("{code: hush, name: a, provide: [{tool: t, digest: hush}]}", "sha256: and 64 hex digits"),
            ("{code: hush, name: a, provide: [{tool: 't*', digest: hush}]}", "no digest beside a prefix"),
            ("{code: hush, name: a, provide: [{tool: t, digest: []}]}", "at least one entry"),
            ("{code: hush, weight: 0}", "from 1 to 10000"),
            ("{code: hush, capacity: hush}", "a whole number"),
            ("{code: 'hush,hush'}", "commas"),
            ("{code: 31337}", "quotes"),
            ("{code: a, hush: 1}", "one of code, sha256"),
            ("{code: a, name: 'hush hush'}", "1 to 63"),
            ("{code: a, labels: hush}", "set, allow"),
            ("{code: a, labels: {hush: 1}}", "one of set, allow"),
            ("{code: a, labels: {set: {x: 31337}}}", "labels.set.x: expected text"),
            ("{code: a, labels: {allow: {x: [31337]}}}", "labels.allow.x[0]: expected text"),
            ("{code: a, tools: ['hush*hush']}", "the name of a tool"),
            ("{code: a, certificate: hush}", "certificate: expected sha256:"),
            ("{code: a, certificate: ['sha256:hush']}", "certificate[0]: expected sha256:"),
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
