//! The labels that a code gives its holder and those that its holder may announce. Must not know links.

use std::collections::BTreeMap;

use runtime::document::Cursor;

use runtime::document::fields::parse;

/// The values that a label may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LabelValues {
    /// Any value.
    Any,
    /// Any of these values.
    Listed(Vec<String>),
}

/// `labels` of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LabelRules {
    /// Labels that the slave gets, whatever it announces.
    pub(super) forced: BTreeMap<String, String>,
    /// Other labels that the slave may announce. `None`: any with a code without a name, none with a named one.
    pub(super) allowed: Option<BTreeMap<String, LabelValues>>,
}

/// Labels in force, and those that do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AppliedLabels {
    pub(super) in_force: BTreeMap<String, String>,
    /// Labels that the slave announced without being allowed to.
    pub(super) ignored: BTreeMap<String, String>,
}

impl LabelRules {
    /// Applies the rules to announced labels: forced labels win, and labels that are not allowed are ignored.
    /// `otherwise` says what holds where the entry has no list of allowed labels.
    pub(super) fn apply(&self, announced: &BTreeMap<String, String>, otherwise: Unlisted) -> AppliedLabels {
        let mut labels = AppliedLabels::default();
        for (key, value) in announced {
            // A forced label replaces an announced one, so announcing it is no fault.
            if self.forced.contains_key(key) {
                continue;
            }
            let to =
                if self.allows(key, value, otherwise) { &mut labels.in_force } else { &mut labels.ignored };
            to.insert(key.clone(), value.clone());
        }
        labels.in_force.extend(self.forced.clone());
        labels
    }

    fn allows(&self, key: &str, value: &str, otherwise: Unlisted) -> bool {
        match self.allowed.as_ref().map(|allowed| allowed.get(key)) {
            Some(Some(LabelValues::Any)) => true,
            Some(Some(LabelValues::Listed(values))) => values.iter().any(|known| known == value),
            Some(None) => false,
            None => otherwise == Unlisted::Allowed,
        }
    }
}

/// What holds for labels of a code whose entry lists none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unlisted {
    Allowed,
    Ignored,
}

/// Reads the rules at the cursor. Returns `None` after a problem was recorded.
pub(super) fn read(cursor: &Cursor<'_>) -> Option<LabelRules> {
    let entries = cursor.entries_of(&["set", "allow"])?;
    let forced = entries.get("set").map(|set| each(&set, label_value)).unwrap_or_default();
    let allowed = entries.get("allow").map(|allow| each(&allow, label_values));
    Some(LabelRules { forced, allowed })
}

/// Reads a mapping of labels, each value with `read`.
fn each<T>(cursor: &Cursor<'_>, read: fn(&Cursor<'_>) -> Option<T>) -> BTreeMap<String, T> {
    if cursor.is_null() {
        return BTreeMap::new();
    }
    let Some(entries) = cursor.entries("a mapping of labels") else { return BTreeMap::new() };
    let pair = |(key, value): (&str, Cursor<'_>)| {
        if !(1..=63).contains(&key.len()) {
            value.error("a label's name of 1 to 63 characters");
        }
        Some((key.to_owned(), read(&value)?))
    };
    entries.all().filter_map(pair).collect()
}

fn label_value(cursor: &Cursor<'_>) -> Option<String> {
    let expected = "text of at most 255 characters, in quotes if it looks like a number";
    parse(cursor, expected, |text| (text.len() <= 255).then(|| text.to_owned()))
}

/// Reads the allowed values of a label: a value, a list of values, or `*` for any.
fn label_values(cursor: &Cursor<'_>) -> Option<LabelValues> {
    let cursors = cursor.one_or_many();
    let values: Vec<String> = cursors.iter().filter_map(label_value).collect();
    let read = if values == ["*"] { LabelValues::Any } else { LabelValues::Listed(values) };
    (!cursors.is_empty()).then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn forced_labels_win_and_labels_that_are_not_allowed_do_not_count() {
        let listed = LabelValues::Listed(vec!["eu".into(), "us".into()]);
        let rules = LabelRules {
            forced: labels(&[("platform", "gitlab")]),
            allowed: Some([("region".to_owned(), listed), ("team".to_owned(), LabelValues::Any)].into()),
        };
        let announced = labels(&[("platform", "github"), ("region", "eu"), ("team", "x"), ("zone", "1")]);
        let applied = rules.apply(&announced, Unlisted::Allowed);
        assert_eq!(applied.in_force, labels(&[("platform", "gitlab"), ("region", "eu"), ("team", "x")]));
        assert_eq!(applied.ignored, labels(&[("zone", "1")]));
        let applied = rules.apply(&labels(&[("region", "mars")]), Unlisted::Allowed);
        assert_eq!(applied.in_force, labels(&[("platform", "gitlab")]));
        assert_eq!(applied.ignored, labels(&[("region", "mars")]));
    }

    #[test]
    fn without_a_list_the_kind_of_the_code_decides() {
        let (rules, announced) = (LabelRules::default(), labels(&[("a", "b")]));
        assert_eq!(rules.apply(&announced, Unlisted::Allowed).in_force, announced);
        assert_eq!(rules.apply(&announced, Unlisted::Ignored).ignored, announced);
        let none = LabelRules { allowed: Some(BTreeMap::new()), ..rules };
        assert_eq!(none.apply(&announced, Unlisted::Allowed).ignored, announced);
    }
}
