//! The search for a word that must not appear: as it is, and in each encoding that code may give it by accident.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Returns the line that holds the word, with the name of the encoding. The word has at least 6 bytes of ASCII without `+` and `/`
/// in its base64 forms, which are the same in the standard and the URL alphabet then.
pub fn find(text: &str, word: &str) -> Option<String> {
    let needles = needles(word);
    // As a rule nothing is found: all of a long text is searched at once, line by line only for the line to name.
    found(text, &needles)?;
    let name = |line: &str| found(line, &needles).map(|name| format!("{name}: {line}"));
    text.lines().find_map(name).or_else(|| Some("over several lines".to_owned()))
}

/// Returns the name of the encoding in which a text holds one of the needles.
fn found(text: &str, needles: &[(&'static str, String)]) -> Option<&'static str> {
    let forms =
        [text.to_owned(), text.to_ascii_lowercase(), unescaped(text, "%", 2), unescaped(text, "\\u", 4)];
    let is_in = |needle: &str| forms.iter().any(|form| form.contains(needle));
    needles.iter().find(|(_, needle)| is_in(needle)).map(|(name, _)| *name)
}

/// The word as it is and encoded. Percent-encoding and JSON escapes are undone in the text instead.
fn needles(word: &str) -> Vec<(&'static str, String)> {
    let numbers: Vec<String> = word.bytes().map(|byte| byte.to_string()).collect();
    let digits: Vec<String> = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut needles =
        vec![("plain", word.to_owned()), ("hex", digits.concat()), ("bytes", numbers.join(", "))];
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
