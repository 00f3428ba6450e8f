//! One entry of a YAML file of codes. What is wrong is noted at its place; no value is ever shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::link::handshake::check_slave_name;
use runtime::document::{Cursor, Map};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::code::CodeDigest;
use super::policy::{Grant, Tools, Values};

/// One code and what it allows.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) digest: CodeDigest,
    pub(super) grant: Arc<Grant>,
}

const KEYS: [&str; 7] = ["code", "sha256", "name", "labels", "tools", "not_before", "not_after"];

/// `None` only after something was noted.
pub(super) fn read_entry(place: &Cursor<'_>) -> Option<Entry> {
    if place.is_text() {
        return Some(Entry { digest: code(place)?, grant: Arc::default() });
    }
    let entries = place.entries_of(&KEYS)?;
    let digest = match (entries.get("code"), entries.get("sha256")) {
        (Some(given), None) => code(&given),
        (None, Some(given)) => sha256(&given),
        _ => {
            place.error("either code, or sha256 (the SHA-256 of the code in hex)");
            None
        }
    };
    let grant = grant(&entries);
    if let (Some(from), Some(end)) = (grant.not_before, grant.not_after)
        && from >= end
    {
        place.error("a not_before that is earlier than not_after");
    }
    Some(Entry { digest: digest?, grant: Arc::new(grant) })
}

fn grant(entries: &Map<'_>) -> Grant {
    let (forced, allowed) = entries.get("labels").and_then(|place| labels(&place)).unwrap_or_default();
    Grant {
        name: entries.get("name").and_then(|place| name(&place)),
        forced,
        allowed,
        tools: entries.get("tools").map(|place| place.one_or_many().iter().filter_map(tool).collect()),
        not_before: entries.get("not_before").and_then(|place| time(&place)),
        not_after: entries.get("not_after").and_then(|place| time(&place)),
    }
}

/// The value, if `read` makes one of the text; otherwise it is noted what was expected.
fn parsed<T>(place: &Cursor<'_>, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let value = read(place.text(expected)?.trim());
    if value.is_none() {
        place.error(expected);
    }
    value
}

fn code(place: &Cursor<'_>) -> Option<CodeDigest> {
    let expected = "a code: text without commas, in quotes if it looks like a number";
    parsed(place, expected, |text| (!text.contains(',')).then(|| CodeDigest::of(text)))
}

fn sha256(place: &Cursor<'_>) -> Option<CodeDigest> {
    parsed(place, "64 hex digits in quotes, as printf %s \"$CODE\" | sha256sum prints them", |text| {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(CodeDigest(digest))
    })
}

fn name(place: &Cursor<'_>) -> Option<String> {
    let fits = |text: &str| check_slave_name(text).is_ok().then(|| text.to_owned());
    parsed(place, "1 to 63 letters, digits, '-', '_' or '.'", fits)
}

fn time(place: &Cursor<'_>) -> Option<OffsetDateTime> {
    let expected = "a time as RFC 3339 has it, for example 2027-01-31T00:00:00Z";
    parsed(place, expected, |text| OffsetDateTime::parse(text, &Rfc3339).ok())
}

fn tool(place: &Cursor<'_>) -> Option<Tools> {
    parsed(place, "the name of a tool, or the beginning of names with * at its end", |text| {
        let prefix = text.strip_suffix('*');
        let tool = prefix.map_or(Tools::Named(text.to_owned()), |prefix| Tools::Prefix(prefix.to_owned()));
        (!prefix.unwrap_or(text).contains('*')).then_some(tool)
    })
}

type Labels = (BTreeMap<String, String>, Option<BTreeMap<String, Values>>);

fn labels(place: &Cursor<'_>) -> Option<Labels> {
    let entries = place.entries_of(&["set", "allow"])?;
    let forced = entries.get("set").map(|set| each(&set, label_value)).unwrap_or_default();
    let allowed = entries.get("allow").map(|allow| each(&allow, label_values));
    Some((forced, allowed))
}

fn each<T>(place: &Cursor<'_>, read: fn(&Cursor<'_>) -> Option<T>) -> BTreeMap<String, T> {
    if place.is_null() {
        return BTreeMap::new();
    }
    let Some(entries) = place.entries("a mapping of labels") else { return BTreeMap::new() };
    let pair = |(key, value): (&str, Cursor<'_>)| {
        if !(1..=63).contains(&key.len()) {
            value.error("a label's name of 1 to 63 characters");
        }
        Some((key.to_owned(), read(&value)?))
    };
    entries.all().filter_map(pair).collect()
}

fn label_value(place: &Cursor<'_>) -> Option<String> {
    let expected = "text of at most 255 characters, in quotes if it looks like a number";
    parsed(place, expected, |text| (text.len() <= 255).then(|| text.to_owned()))
}

/// One value, a list of them, or `*`.
fn label_values(place: &Cursor<'_>) -> Option<Values> {
    let places = place.one_or_many();
    let values: Vec<String> = places.iter().filter_map(label_value).collect();
    let read = if values == ["*"] { Values::Any } else { Values::Listed(values) };
    (!places.is_empty()).then_some(read)
}

#[cfg(test)]
mod tests {
    use super::super::file::CodesFile;
    use super::*;

    fn read(text: &str) -> Result<Entry, String> {
        let file = CodesFile::parse(&format!("codes:\n- {text}\n"));
        file.map(|mut file| file.entries.remove(0)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_has_everything_that_the_document_says() {
        let digest = "b35f4595d2e6b5f2a5f0c8f6e9b8d3cb0000000000000000000000000000000F";
        let Entry { digest, grant } = read(&format!(
            "{{sha256: '{digest}', name: office-1, labels: {{set: {{platform: gitlab}}, allow: {{region: [eu, us], team: '*', one: x}}}}, \
             tools: [echo, 'git_*'], not_before: '2026-01-01T00:00:00Z', not_after: '2027-01-01T00:00:00+01:00'}}"
        ))
        .unwrap();
        assert_eq!((digest.0[0], digest.0[31]), (0xb3, 0x0f));
        assert_eq!(grant.name(), Some("office-1"));
        assert_eq!(grant.forced["platform"], "gitlab");
        let allowed = grant.allowed.as_ref().unwrap();
        assert_eq!(allowed["team"], Values::Any);
        assert_eq!(allowed["region"], Values::Listed(vec!["eu".into(), "us".into()]));
        assert_eq!(allowed["one"], Values::Listed(vec!["x".into()]));
        assert_eq!(grant.tools, Some(vec![Tools::Named("echo".into()), Tools::Prefix("git_".into())]));
        assert!(grant.not_before < grant.not_after);
    }

    #[test]
    fn each_fault_is_told_without_the_value() {
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
            let faults = read(text).unwrap_err();
            assert!(faults.contains("line 2") && faults.contains(hint), "{text}: {faults}");
            assert!(!faults.contains("hush") && !faults.contains("31337"), "{text}: {faults}");
        }
    }
}
