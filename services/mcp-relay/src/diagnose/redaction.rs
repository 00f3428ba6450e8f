//! The redaction that every text of a bundle passes: known secrets in each form in which programs write them, credentials and
//! queries of URLs, and what looks like a credential. Must not know where secrets or texts come from.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use regex::{Captures, Regex, RegexBuilder};
use serde_json::Value;

/// What stands in place of a secret.
pub(super) const MASK: &str = "[redacted]";

/// Bytes of the shortest secret that is looked for: a shorter one is in every text by chance.
pub(super) const MIN_LEN: usize = 3;

/// Bytes from which a secret is looked for within words, too.
const WITHIN_WORDS: usize = 6;

/// Largest size of the compiled search.
const MAX_SEARCH_BYTES: usize = 256 << 20;

/// Texts that look like a credential, whoever's it is. What is named `kept` stays in front of the mask.
const PATTERNS: [&str; 5] = [
    // A name that promises a secret, with its value.
    r#"(?P<kept>(?i:(?:passw(?:or)?d|secret|token|api[_-]?key|authorization|cookie)["']?\s*[:=]\s*["']?(?:(?:bearer|basic)\s+)?))[^\s"',;&\[\]{}]{4,}"#,
    // HTTP authentication.
    r"(?P<kept>(?i:\b(?:bearer|basic)\s+))[A-Za-z0-9._~+/=-]{8,}",
    // JSON web tokens.
    r"(?P<kept>)\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?",
    // Tokens that say by their beginning what they are.
    r"(?P<kept>)\b(?:glpat-|gh[pousr]_|github_pat_|sk-|xox[abprs]-|AKIA)[A-Za-z0-9_-]{8,}",
    // Private keys.
    r"(?P<kept>)-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^-]|-[^-])*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
];

/// Names of members whose values are never shown.
const SECRET_MEMBER: &str =
    r"(?i)^(?:.*(?:passw(?:or)?d|secret|api[_-]?key|authorization|cookie)|(?:access_|refresh_|id_)?token)$";

/// A URL: scheme, user information, host and path, query or fragment.
const URL: &str = r#"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^\s/?#"'<>\\]*@)?(?P<rest>[^\s?#"'<>\\]*)(?P<query>[?#][^\s"'<>\\]*)?"#;

/// The redaction of one bundle. Counts what it replaces.
pub(super) struct Redaction {
    whole: Option<Regex>,
    words: Option<Regex>,
    url: Regex,
    patterns: Vec<Regex>,
    member: Regex,
    replaced: Cell<usize>,
}

impl Redaction {
    /// Creates the redaction of these secrets.
    ///
    /// # Errors
    /// There are too many secrets to look for: nothing must be written then.
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, regex::Error> {
        let (mut whole, mut words) = (BTreeSet::new(), BTreeSet::new());
        for secret in secrets.into_iter().map(str::trim).filter(|secret| secret.len() >= MIN_LEN) {
            if secret.len() >= WITHIN_WORDS {
                whole.extend(forms(secret));
            } else {
                words.extend([secret.to_owned()]);
            }
        }
        let compiled = |patterns: &[&str]| patterns.iter().map(|pattern| Regex::new(pattern)).collect();
        let patterns: Result<Vec<Regex>, regex::Error> = compiled(&PATTERNS);
        Ok(Self {
            whole: search(whole, |any| any)?,
            words: search(words, |any| format!(r"(?:\b{{start-half}})(?:{any})(?:\b{{end-half}})"))?,
            url: Regex::new(URL)?,
            patterns: patterns?,
            member: Regex::new(SECRET_MEMBER)?,
            replaced: Cell::new(0),
        })
    }

    /// Returns the number of replacements since the last call.
    pub(super) fn take_count(&self) -> usize {
        self.replaced.take()
    }

    /// Returns the text without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for known in [&self.whole, &self.words].into_iter().flatten() {
            text = Cow::Owned(self.replace(known, &text, |_| MASK.to_owned()));
        }
        text = Cow::Owned(self.replace(&self.url, &text, |found| {
            let user = if found.name("user").is_some() { format!("{MASK}@") } else { String::new() };
            let query = found.name("query").map_or("", |query| &query.as_str()[..1]);
            let mask = if query.is_empty() { "" } else { MASK };
            format!("{}{user}{}{query}{mask}", &found["scheme"], &found["rest"])
        }));
        for pattern in &self.patterns {
            text = Cow::Owned(self.replace(pattern, &text, |found| format!("{}{MASK}", &found["kept"])));
        }
        text.into_owned()
    }

    /// Redacts every text of a document, names of members included.
    pub(super) fn document(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.document(item)).collect(),
            Value::Object(members) => {
                let redacted = members.iter().map(|(name, value)| {
                    let is_secret = value.is_string() && self.member.is_match(name);
                    let value = if is_secret { self.masked() } else { self.document(value) };
                    (self.text(name), value)
                });
                Value::Object(redacted.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn masked(&self) -> Value {
        self.replaced.set(self.replaced.get() + 1);
        MASK.into()
    }

    fn replace(&self, pattern: &Regex, text: &str, with: impl Fn(&Captures<'_>) -> String) -> String {
        let replacement = |found: &Captures<'_>| {
            let new = with(found);
            if new != found[0] {
                self.replaced.set(self.replaced.get() + 1);
            }
            new
        };
        pattern.replace_all(text, replacement).into_owned()
    }
}

/// Compiles the search for any of some texts, longer ones first; `None` where there are none.
fn search(texts: BTreeSet<String>, form: impl Fn(String) -> String) -> Result<Option<Regex>, regex::Error> {
    if texts.is_empty() {
        return Ok(None);
    }
    let mut texts: Vec<String> = texts.into_iter().collect();
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let any: Vec<String> = texts.iter().map(|text| regex::escape(text)).collect();
    RegexBuilder::new(&form(any.join("|"))).size_limit(MAX_SEARCH_BYTES).build().map(Some)
}

/// Returns the forms in which programs write a secret: as it is, in JSON, percent-encoded, in hexadecimal digits and in base64.
fn forms(secret: &str) -> Vec<String> {
    let percent = |is_plain: fn(&u8) -> bool| {
        let encode =
            |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        secret.bytes().map(encode).collect::<String>()
    };
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    let hex: String = secret.bytes().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    let json = Value::from(secret).to_string();
    let mut forms = vec![
        secret.to_owned(),
        secret.to_ascii_lowercase(),
        json.trim_matches('"').to_owned(),
        percent(u8::is_ascii_alphanumeric),
        percent(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte)),
        hex.to_ascii_uppercase(),
        hex,
    ];
    // Within a longer text the secret begins at one of three places of a group; characters that neighbours share are left out.
    for (before, skipped) in [(0, 0), (1, 2), (2, 3)] {
        let padded = [&b"\0\0"[..before], secret.as_bytes()].concat();
        let encoded = STANDARD_NO_PAD.encode(&padded);
        let own = encoded[skipped..padded.len() * 8 / 6].to_owned();
        forms.push(own.replace('+', "-").replace('/', "_"));
        forms.push(own);
    }
    forms
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redacted(text: &str) -> String {
        Redaction::new(["hush-hush/42", "ab1", "x"]).unwrap().text(text)
    }

    #[test]
    fn known_secrets_are_found_in_each_form() {
        for text in [
            "code hush-hush/42 refused",
            "xhush-hush/42x",
            "hush%2Dhush%2F42",
            "hush-hush%2F42",
            "687573682d687573682f3432",
            "687573682D687573682F3432",
            &STANDARD_NO_PAD.encode("user:hush-hush/42"),
            &STANDARD_NO_PAD.encode("a hush-hush/42"),
            &STANDARD_NO_PAD.encode("hush-hush/42"),
            "short ab1, too",
        ] {
            let out = redacted(text);
            assert!(out.contains(MASK) && !out.contains("hush") && !out.contains("ab1"), "{text}: {out}");
        }
        for text in ["abab1", "ab12", "x", "hush", "nothing"] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn credentials_that_nobody_told_of_are_found_by_their_form() {
        for (text, expected) in [
            ("Authorization: Bearer abcdefgh12", "Authorization: Bearer [redacted]"),
            ("a basic dXNlcjpwYXNz end", "a basic [redacted] end"),
            ("got eyJhbGciOi.eyJzdWIiOi.c2ln!", "got [redacted]!"),
            ("glpat-abcdefgh1234", "[redacted]"),
            ("wss://me:pw@h.example:1/link?code=1 end", "wss://[redacted]@h.example:1/link?[redacted] end"),
            ("http://h/p#frag", "http://h/p#[redacted]"),
            ("https://plain.example/mcp", "https://plain.example/mcp"),
            ("password=hunter22, next", "password=[redacted], next"),
            ("{\"api_key\": \"abcd1234\"}", "{\"api_key\": \"[redacted]\"}"),
            ("token: missing", "token: [redacted]"),
            ("-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----", MASK),
        ] {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn documents_stay_documents() {
        let redaction = Redaction::new(["hush\"quote"]).unwrap();
        let value = json!({
            "hush\"quote": 1, "list": ["a hush\"quote"], "password": "x", "tokens": 3, "client_secret": "yy", "n": 7,
        });
        let expected = json!({
            MASK: 1, "list": ["a [redacted]"], "password": MASK, "tokens": 3, "client_secret": MASK, "n": 7,
        });
        assert_eq!(redaction.document(&value), expected);
        assert_eq!(redaction.take_count(), 4);
        assert_eq!(redaction.take_count(), 0);
    }
}
