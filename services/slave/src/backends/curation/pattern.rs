//! A pattern of names in a curation: a text in which `*` stands for any characters. Must not know what is named.

/// A pattern: a name as it is, or with `*` for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    /// Makes a pattern of its text.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns whether the name is meant. Takes time in proportion to the product of both lengths at most.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
        let parts: Vec<&str> = parts.collect();
        let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
        // Each part as early as it can be: what follows then has most room.
        let after = middle.iter().try_fold(rest, |rest, part| rest.split_once(part).map(|(_, after)| after));
        after.is_some_and(|rest| rest.ends_with(last))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Matches by trying every way.
    fn tried(pattern: &[char], name: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some(('*', rest)) => (0..=name.len()).any(|at| tried(rest, &name[at..])),
            Some((c, rest)) => name.first() == Some(c) && tried(rest, &name[1..]),
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("echo", "echo", true),
            ("echo", "echo2", false),
            ("git_*", "git_log", true),
            ("git_*", "git", false),
            ("*_file", "read_file", true),
            ("a*b*c", "aXbXbc", true),
            ("a*a", "a", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn the_match_is_that_of_every_way_tried(pattern in "[ab*]{0,7}", name in "[ab]{0,9}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Pattern::new(&pattern).matches(&name), tried(&chars(&pattern), &chars(&name)));
        }
    }
}
