//! Text of peers made fit for terminals, text logs and labels: characters that command a terminal, reorder text or hide in it
//! are shown as escapes. Must not know where the text comes from or where it goes.
//!
//! Three forms, by the place of the text: [`line()`] within a line, [`text`] as a text of several lines, [`json`] as JSON that
//! stays JSON with the same values.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns whether a character is shown as an escape: control characters (C0 with `\n` and `\t`, DEL, C1), separators of
/// lines and paragraphs, interlinear annotations, and what Unicode has displayed as nothing
/// (`Default_Ignorable_Code_Point`): bidirectional controls, zero width characters, tags, fillers. Of the latter, the
/// variation selectors U+FE00 to U+FE0F are shown, since ordinary emoji have them.
pub fn is_escaped(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(c,
        '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns a text as part of one line: all characters of [`is_escaped`] as `\n`, `\t`, `\r` or `\u{202e}`.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, is_escaped, |out, c| out.extend(c.escape_default()))
}

/// Returns a text of several lines: like [`line()`], but newlines and tabs stay, and `\r\n` becomes a newline.
pub fn text(text: &str) -> Cow<'_, str> {
    let escape = |out: &mut String, c: char| out.extend(c.escape_default());
    let unix = if text.contains("\r\n") { Cow::from(text.replace("\r\n", "\n")) } else { text.into() };
    match unix {
        Cow::Borrowed(text) => replaced(text, is_escaped_in_text, escape),
        Cow::Owned(text) => replaced(&text, is_escaped_in_text, escape).into_owned().into(),
    }
}

/// Returns JSON with these characters as `\u202e`, which has the same value. Characters of [`is_escaped`] occur in valid JSON
/// within strings only, but for the whitespace `\n`, `\t` and `\r` between tokens, which stays; `\r` becomes a space.
pub fn json(text: &str) -> Cow<'_, str> {
    replaced(text, is_escaped_in_text, |out, c| {
        if c == '\r' {
            out.push(' ');
            return;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

fn is_escaped_in_text(c: char) -> bool {
    !matches!(c, '\n' | '\t') && is_escaped(c)
}

fn replaced(text: &str, is_escaped: fn(char) -> bool, escape: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let Some((at, _)) = text.char_indices().find(|(_, c)| is_escaped(*c)) else { return text.into() };
    let mut clean = String::with_capacity(text.len() + 16);
    clean.push_str(&text[..at]);
    for c in text[at..].chars() {
        if is_escaped(c) {
            escape(&mut clean, c);
        } else {
            clean.push(c);
        }
    }
    clean.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_class_of_hostile_characters_is_shown_as_an_escape() {
        let classes: [(&str, std::ops::RangeInclusive<u32>); 12] = [
            ("C0", 0x00..=0x1f),
            ("DEL and C1", 0x7f..=0x9f),
            ("Arabic letter mark", 0x61c..=0x61c),
            ("zero width and marks", 0x200b..=0x200f),
            ("separators, embeddings and overrides", 0x2028..=0x202e),
            ("isolates and invisible operators", 0x2060..=0x206f),
            ("byte order mark", 0xfeff..=0xfeff),
            ("annotations", 0xfff9..=0xfffb),
            ("tags", 0xe0000..=0xe007f),
            ("variation selectors 17 to 256", 0xe0100..=0xe01ef),
            ("soft hyphen", 0xad..=0xad),
            ("fillers", 0x115f..=0x1160),
        ];
        for (class, range) in classes {
            for c in range.filter_map(char::from_u32) {
                let shown = line(&format!("a{c}b")).into_owned();
                assert!(
                    shown.starts_with("a\\") && shown.ends_with('b') && shown.is_ascii(),
                    "{class}: {shown:?}"
                );
            }
        }
        assert_eq!(line("a\u{1b}[2J\u{202e}\r\n\t\u{9b}"), "a\\u{1b}[2J\\u{202e}\\r\\n\\t\\u{9b}");
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for ordinary in ["", "plain", "Grüße, 你好, שלום, مرحبا, e\u{301}", "⚠\u{fe0f} \\u{1b} «»"]
        {
            assert!(matches!(line(ordinary), Cow::Borrowed(same) if same == ordinary));
            assert!(matches!(text(ordinary), Cow::Borrowed(same) if same == ordinary));
        }
        assert_eq!(text("a\r\n\tb\rc\u{7}"), "a\n\tb\\rc\\u{7}");
    }

    fn any_text() -> impl Strategy<Value = String> {
        let hostile = prop::sample::select(vec![
            '\u{1b}',
            '\n',
            '\r',
            '\t',
            '\u{7f}',
            '\u{9b}',
            '\u{202e}',
            '\u{e0041}',
        ]);
        prop::collection::vec(prop_oneof![any::<char>(), hostile], 0..40).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn no_form_lets_a_hostile_character_through(raw in any_text()) {
            prop_assert!(!line(&raw).chars().any(is_escaped));
            prop_assert!(!text(&raw).chars().any(is_escaped_in_text));
        }

        #[test]
        fn json_keeps_its_value(raw in any_text()) {
            let value = serde_json::json!({ raw.as_str(): [raw.as_str()] });
            for written in [value.to_string(), serde_json::to_string_pretty(&value).unwrap().replace('\n', "\r\n")] {
                let shown = json(&written).into_owned();
                prop_assert!(!shown.chars().any(is_escaped_in_text), "{shown:?}");
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&shown).unwrap(), &value);
            }
        }
    }
}
