//! Patterns of names: `*` stands for any text, all other characters for themselves. Must not know what is named.

use std::fmt;

/// A pattern of a whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// Makes a pattern of its text.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Makes a pattern where `*` may stand at the end only: a name, or the beginning of names. `None` where it stands elsewhere.
    pub fn name_or_beginning(text: &str) -> Option<Self> {
        (!text.strip_suffix('*').unwrap_or(text).contains('*')).then(|| Self::new(text))
    }

    /// Returns the name where the pattern stands for one alone.
    pub fn exact_name(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&*self.0)
    }

    /// Returns whether the pattern stands for the whole text. Allocates nothing; takes time in proportion to the product of both lengths at
    /// most.
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut at, mut read) = (0, 0);
        // Where the last star stands, and what it stands for so far.
        let mut star: Option<(usize, usize)> = None;
        while read < text.len() {
            if pattern.get(at) == Some(&b'*') {
                star = Some((at, read));
                at += 1;
            } else if pattern.get(at) == Some(&text[read]) {
                (at, read) = (at + 1, read + 1);
            } else if let Some((place, begin)) = star {
                star = Some((place, begin + 1));
                (at, read) = (place + 1, begin + 1);
            } else {
                return false;
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether one of the patterns matches.
pub fn any_matches(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_all_else_for_itself() {
        for (pattern, text, matches) in [
            ("git_*", "git_push", true),
            ("git_*", "git", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*_read", "a_read_read", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXcYb", false),
            ("file:///a/?", "file:///a/b", false),
            ("file:///a/?", "file:///a/?", true),
            ("[a-z]", "b", false),
            ("Git", "git", false),
            ("ü*", "üben", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn a_name_or_beginning_has_its_star_at_the_end() {
        for (text, name) in [("deploy", Some("deploy")), ("deploy_*", None), ("*", None), ("", Some(""))] {
            assert_eq!(Glob::name_or_beginning(text).unwrap().exact_name(), name, "{text}");
        }
        for text in ["a*b", "a**", "*a"] {
            assert_eq!(Glob::name_or_beginning(text), None, "{text}");
        }
    }

    /// The plain definition.
    fn plain(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| plain(rest, &text[at..])),
            Some((byte, rest)) => text.first() == Some(byte) && plain(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn the_match_is_that_of_the_definition(pattern in "[abü*]{0,8}", text in "[abü]{0,10}") {
            prop_assert_eq!(Glob::new(&pattern).matches(&text), plain(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
