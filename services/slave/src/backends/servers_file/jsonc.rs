//! JSON with comments and trailing commas, made plain. Must not know what it says.

/// Returns the text with spaces in the place of comments and of commas before a closing bracket. Line breaks stay where they are, so that
/// an error of the parser names the line of the file.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The last comma, if only spaces and comments follow so far.
    let mut comma = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match (c, comment_len(rest)) {
            (_, Some(length)) => {
                let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
                out.extend(rest.get(..length).unwrap_or(rest).chars().map(blank));
                rest = rest.get(length..).unwrap_or_default();
                continue;
            }
            ('"', None) => string_len(rest),
            (c, None) => c.len_utf8(),
        };
        if matches!(c, '}' | ']')
            && let Some(at) = comma
        {
            out.replace_range(at..=at, " ");
        }
        if !c.is_whitespace() {
            comma = (c == ',').then_some(out.len());
        }
        out.push_str(rest.get(..length).unwrap_or(rest));
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

/// Returns the length of the comment that the text begins with. One that does not end is none.
fn comment_len(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    text.strip_prefix("/*").and_then(|inside| inside.find("*/")).map(|at| at + 4)
}

/// Returns the length of the string that the text begins with, both quotes included.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if std::mem::take(&mut escaped) => {}
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comments_and_trailing_commas_go_and_strings_and_lines_stay() {
        for (text, expected) in [
            (r#"{"a":[1,2,],}"#, r#"{"a":[1,2 ] }"#),
            ("{// x, }\n\"a\":1, // y\n /* z\n */ }", "{       \n\"a\":1      \n     \n    }"),
            (r#"{"a":"//x, ]","b":"/*\"\\","c":1}"#, r#"{"a":"//x, ]","b":"/*\"\\","c":1}"#),
            ("[1,,]", "[1, ]"),
            ("[,]", "[ ]"),
            ("/* never ends", "/* never ends"),
            ("\"never ends, ]", "\"never ends, ]"),
            ("ü,] // ü", "ü ]     "),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_json_already_means_the_same(text in "[\\x00-\\x7fü]{0,40}", more in any::<u32>()) {
            let value = serde_json::json!({ "a": [text, more, {}], "b": [], "c": { "d": text } });
            let json = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(plain(&json), json);
        }

        #[test]
        fn lines_keep_their_numbers(text in "[ -~\n,/*\"]{0,80}") {
            prop_assert_eq!(plain(&text).lines().count(), text.lines().count());
        }
    }
}
