//! Canonical form of a JSON string: one escape for each character that needs one, UTF-8 for all others. Must not know where the string
//! stands.

use memchr::memchr;

/// Writes the content of a string, that is the text between its quotes. `None`: an escape cannot be read.
pub(super) fn write(mut content: &str, out: &mut Vec<u8>) -> Option<()> {
    while let Some(at) = memchr(b'\\', content.as_bytes()) {
        out.extend_from_slice(&content.as_bytes()[..at]);
        content = write_escape(content.get(at + 1..)?, out)?;
    }
    out.extend_from_slice(content.as_bytes());
    Some(())
}

/// Writes the character of the escape whose text after the backslash begins `text`; returns what follows the escape.
fn write_escape<'a>(text: &'a str, out: &mut Vec<u8>) -> Option<&'a str> {
    let rest = text.get(1..)?;
    match text.as_bytes().first()? {
        b'b' => write_char('\u{8}', out),
        b'f' => write_char('\u{c}', out),
        b'n' => write_char('\n', out),
        b'r' => write_char('\r', out),
        b't' => write_char('\t', out),
        b'u' => return write_unit(rest, out),
        other @ (b'"' | b'\\' | b'/') => write_char(char::from(*other), out),
        _ => return None,
    }
    Some(rest)
}

/// Writes the character of a `\u` escape, of two where they are a surrogate pair.
fn write_unit<'a>(digits: &'a str, out: &mut Vec<u8>) -> Option<&'a str> {
    let (unit, rest) = unit(digits)?;
    let second = rest.strip_prefix("\\u").and_then(self::unit);
    let pair = second.and_then(|(low, rest)| Some((char_of_pair(unit, low)?, rest)));
    if let Some((character, rest)) = pair {
        write_char(character, out);
        return Some(rest);
    }
    match char::from_u32(unit) {
        Some(character) => write_char(character, out),
        None => out.extend_from_slice(format!("\\u{unit:04x}").as_bytes()),
    }
    Some(rest)
}

fn unit(digits: &str) -> Option<(u32, &str)> {
    let hex = digits.get(..4)?;
    let all_digits = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((u32::from_str_radix(hex, 16).ok().filter(|_| all_digits)?, &digits[4..]))
}

fn char_of_pair(high: u32, low: u32) -> Option<char> {
    let is_pair = (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low);
    if !is_pair {
        return None;
    }
    char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
}

fn write_char(character: char, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\0'..='\u{1f}' => out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes()),
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_character_has_one_form() {
        for (content, form) in [
            ("plain é", "plain é"),
            (r"\u0061\/\u00E9", "a/é"),
            (r#"\"\\\u0022\u005c"#, r#"\"\\\"\\"#),
            (r"\b\f\n\r\t\u0000\u001F", r"\u0008\u000c\u000a\u000d\u0009\u0000\u001f"),
            (r"\uD83D\uDE00\ud83d\ude00", "😀😀"),
            (r"\uD83D", r"\ud83d"),
            (r"\uDE00\uD83D", r"\ude00\ud83d"),
            (r"\uD83D\u0041\uD83D\n", r"\ud83dA\ud83d\u000a"),
            (r"\uD83D\uD83D\uDE00", r"\ud83d😀"),
            ("\u{7f}\u{2028}", "\u{7f}\u{2028}"),
        ] {
            let mut out = Vec::new();
            super::write(content, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), form, "{content}");
        }
    }
}
