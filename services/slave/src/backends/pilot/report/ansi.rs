//! Removal of the control sequences of terminals (ECMA-48). Must not know what the text says.

/// Removes control sequences (`ESC [ … letter`), operating system commands (`ESC ] … BEL`) and the other sequences that
/// begin with ESC.
pub(crate) fn strip_ansi(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out.push_str(before);
        rest = after_sequence(after);
    }
    out.push_str(rest);
    out
}

/// Returns what follows the sequence whose ESC stands before this text.
fn after_sequence(text: &str) -> &str {
    let mut chars = text.chars();
    match chars.next() {
        Some('[') => {
            let rest = chars.as_str().trim_start_matches(|c: char| (' '..='?').contains(&c));
            let end = rest.chars().next().filter(|c| ('@'..='~').contains(c)).map_or(0, char::len_utf8);
            rest.get(end..).unwrap_or_default()
        }
        Some(']') => {
            let rest = chars.as_str();
            let line = rest.find('\n').unwrap_or(rest.len());
            // One that does not end within its line is none.
            let end = rest.get(..line).and_then(|line| line.find(['\u{7}', '\u{1b}']));
            let rest = end.and_then(|end| rest.get(end..)).unwrap_or(rest);
            rest.strip_prefix('\u{7}').or_else(|| rest.strip_prefix("\u{1b}\\")).unwrap_or(rest)
        }
        Some(c) if ('0'..='~').contains(&c) => chars.as_str(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_escape_sequences_are_removed() {
        for (text, plain) in [
            ("a\u{1b}[1;31mb\u{1b}[0mc\u{1b}[?25ld [x] \u{1b}[", "abcd [x] "),
            ("\u{1b}[38:2::255:0:0mx\u{1b}[m", "x"),
            ("\u{1b}]0;title\u{7}x\u{1b}]8;;http://y\u{1b}\\z", "xz"),
            ("\u{1b}]no end\nnext", "no end\nnext"),
            ("\u{1b}Mx\u{1b}", "x"),
            ("\u{1b}\u{e9}x", "\u{e9}x"),
            ("\u{1b}[31\nx", "\nx"),
        ] {
            assert_eq!(strip_ansi(text), plain, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn text_without_esc_is_unchanged(text in "[^\u{1b}]{0,40}", colour in 0u8..110) {
            proptest::prop_assert_eq!(strip_ansi(&text), text.clone());
            proptest::prop_assert_eq!(strip_ansi(&format!("\u{1b}[{colour}m{text}\u{1b}[0m")), text);
        }
    }
}
