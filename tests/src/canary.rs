//! The search for a word that must not appear: as it is, and in each encoding that code may give it by accident.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Returns the line that holds the word, with the name of the encoding. The word has at least 6 bytes of ASCII without `+` and `/`
/// in its base64 forms, which are the same in the standard and the URL alphabet then.
pub fn find(text: &str, word: &str) -> Option<String> {
    let needles = needles(word);
    text.lines().find_map(|line| {
        let forms =
            [line.to_owned(), line.to_ascii_lowercase(), unescaped(line, "%", 2), unescaped(line, "\\u", 4)];
        let found = |name: &str, needle: &str| {
            forms.iter().any(|form| form.contains(needle)).then(|| format!("{name}: {line}"))
        };
        needles.iter().find_map(|(name, needle)| found(name, needle))
    })
}

/// The word as it is and encoded. Percent-encoding and JSON escapes are undone in the text instead.
fn needles(word: &str) -> Vec<(&'static str, String)> {
    let numbers: Vec<String> = word.bytes().map(|byte| byte.to_string()).collect();
    let mut needles = vec![
        ("plain", word.to_owned()),
        ("hex", word.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ("bytes", numbers.join(", ")),
    ];
    // Within a longer text the word begins at one of three places of a group; characters that neighbours share are left out.
    for (before, skipped) in [(0, 0), (1, 2), (2, 3)] {
        let padded = [&b"\0\0"[..before], word.as_bytes()].concat();
        let encoded = STANDARD_NO_PAD.encode(&padded);
        let whole = padded.len() * 8 / 6;
        needles.push(("base64", encoded[skipped..whole].to_owned()));
    }
    needles
}

/// Replaces `<mark>` and `digits` hexadecimal digits by the character that they name.
fn unescaped(text: &str, mark: &str, digits: usize) -> String {
    let mut parts = text.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let named =
            part.get(..digits).and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
        match named {
            Some(c) => out.extend([c.to_string().as_str(), &part[digits..]]),
            None => out.extend([mark, part]),
        }
    }
    out
}
