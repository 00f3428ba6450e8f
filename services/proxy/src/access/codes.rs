//! The set of slave codes in force: those of `SLAVE_CODES` and of `SLAVE_CODES_FILE` together.
//!
//! Codes are kept as digests only, so no code can be printed from here. Must not know sockets or slaves.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::secret::SecretSet;
use subtle::{ConditionallySelectable, ConstantTimeEq};
use time::OffsetDateTime;

use super::code::{CodeDigest, InvalidCode};
use super::entry::CodeEntry;
use super::file::CodesFile;
use super::policy::CodePolicy;
use super::precedence::Precedence;

/// All codes that slaves may present, with what each allows.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    entries: Vec<CodeEntry>,
    precedence: Precedence,
}

impl Codes {
    /// Joins the listed codes (`SLAVE_CODES`), which allow everything, and the codes of a file, in this order. For a code in
    /// both, the file's entry counts, at the place that the code has in the list.
    pub fn new(listed: &SecretSet, file: Option<&CodesFile>) -> Self {
        let mut filed: Vec<CodeEntry> = file.map(|file| file.entries.clone()).unwrap_or_default();
        let mut places: HashMap<CodeDigest, usize> =
            filed.iter().enumerate().map(|(place, entry)| (entry.digest, place)).collect();
        let mut entries: Vec<CodeEntry> = Vec::with_capacity(filed.len());
        for digest in listed.digests().map(CodeDigest) {
            let place = places.remove(&digest);
            let policy = place.map(|place| Arc::clone(&filed[place].policy)).unwrap_or_default();
            entries.push(CodeEntry { digest, policy });
        }
        filed.retain(|entry| places.contains_key(&entry.digest));
        entries.append(&mut filed);
        let precedence = Precedence::new(&entries);
        Self { entries, precedence }
    }

    /// Returns which code owns which names.
    pub(crate) fn precedence(&self) -> &Precedence {
        &self.precedence
    }

    /// Returns the number of codes, those that are not valid at present included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no code at all, so that no slave can connect.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns whether a code names the certificates that must come with it.
    pub fn need_certificates(&self) -> bool {
        self.policies().any(|policy| policy.needs_certificate())
    }

    /// Returns the policies of all codes.
    pub(super) fn policies(&self) -> impl Iterator<Item = &Arc<CodePolicy>> {
        self.entries.iter().map(|entry| &entry.policy)
    }

    /// Returns the names that codes have, in no particular order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.policies().filter_map(|policy| policy.name())
    }

    /// Returns whether a code becomes valid or expires after `before` and no later than `now`.
    pub(crate) fn changes_between(&self, before: OffsetDateTime, now: OffsetDateTime) -> bool {
        self.policies().any(|policy| policy.changes_between(before, now))
    }

    /// Finds the entry of a presented code. The time that the search takes depends on the length of the code only, not
    /// on its content nor on which entry matches.
    pub(super) fn find(
        &self,
        presented: &str,
        now: OffsetDateTime,
    ) -> Result<(CodeDigest, Arc<CodePolicy>), InvalidCode> {
        let digest = CodeDigest::of(presented);
        Ok((digest, self.policy(digest, now)?))
    }

    /// Returns what a code that was presented earlier allows at `now`.
    pub(super) fn policy(
        &self,
        digest: CodeDigest,
        now: OffsetDateTime,
    ) -> Result<Arc<CodePolicy>, InvalidCode> {
        let mut found = u64::MAX;
        for (index, entry) in (0_u64..).zip(&self.entries) {
            found = u64::conditional_select(&found, &index, entry.digest.0.ct_eq(&digest.0));
        }
        let entry = usize::try_from(found).ok().and_then(|index| self.entries.get(index));
        let policy = &entry.ok_or(InvalidCode::Unknown)?.policy;
        policy.check_validity(now).map(|()| Arc::clone(policy))
    }
}

#[cfg(test)]
mod tests {
    use time::format_description::well_known::Rfc3339;

    use super::*;

    fn at(text: &str) -> OffsetDateTime {
        OffsetDateTime::parse(text, &Rfc3339).unwrap()
    }

    #[test]
    fn codes_of_list_and_file_are_joined_and_the_entry_of_the_file_wins() {
        let file =
            CodesFile::parse("codes:\n- {code: one, name: office}\n- {code: two, name: lab}\n").unwrap();
        let codes = Codes::new(&SecretSet::new(["two", "three"]), Some(&file));
        assert_eq!(codes.len(), 3);
        let now = at("2026-01-01T00:00:00Z");
        let name = |code| codes.find(code, now).map(|(_, policy)| policy.name().map(str::to_owned));
        assert_eq!(name(" one "), Ok(Some("office".into())));
        assert_eq!(name("two"), Ok(Some("lab".into())));
        assert_eq!(name("three"), Ok(None));
        for wrong in ["", "One", "four", "one two"] {
            assert_eq!(name(wrong), Err(InvalidCode::Unknown), "{wrong:?}");
        }
    }

    #[test]
    fn codes_are_valid_from_not_before_up_to_not_after() {
        let file = CodesFile::parse(
            "- code: a\n  not_before: 2026-01-01T00:00:00Z\n  not_after: 2026-02-01T01:00:00+01:00\n",
        )
        .unwrap();
        let codes = Codes::new(&SecretSet::default(), Some(&file));
        let ask = |time| codes.find("a", at(time)).map(drop);
        assert_eq!(ask("2025-12-31T23:59:59Z"), Err(InvalidCode::NotYetValid(at("2026-01-01T00:00:00Z"))));
        assert_eq!(ask("2026-01-01T00:00:00Z"), Ok(()));
        assert_eq!(ask("2026-01-31T23:59:59Z"), Ok(()));
        assert_eq!(ask("2026-02-01T00:00:00Z"), Err(InvalidCode::Expired(at("2026-02-01T00:00:00Z"))));
    }

    #[test]
    fn debug_output_contains_no_code() {
        let file = CodesFile::parse("- {code: hush, name: office}\n").unwrap();
        let codes = Codes::new(&SecretSet::new(["hush2"]), Some(&file));
        let text = format!("{codes:?} {file:?}");
        assert!(!text.contains("hush") && text.contains("office"), "{text}");
    }
}
