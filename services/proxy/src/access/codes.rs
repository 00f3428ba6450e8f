//! Slave codes and what they allow: `SLAVE_CODES` and `SLAVE_CODES_FILE` together.
//!
//! Codes are kept as digests only, and nothing here can show one. Knows neither sockets nor slaves.

use std::sync::Arc;

use runtime::secret::SecretSet;
use subtle::{ConditionallySelectable, ConstantTimeEq};
use time::OffsetDateTime;

use super::code::{CodeDigest, Invalid};
use super::entry::Entry;
use super::file::CodesFile;
use super::policy::Grant;

/// Every code that may be presented.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    entries: Vec<Entry>,
}

impl Codes {
    /// The listed codes (`SLAVE_CODES`), which allow everything, and those of a file. A code that stands in both is
    /// what the file says.
    pub fn new(listed: &SecretSet, file: Option<&CodesFile>) -> Self {
        let mut entries: Vec<Entry> = file.map(|file| file.entries.clone()).unwrap_or_default();
        for digest in listed.digests().map(CodeDigest) {
            if !entries.iter().any(|entry| entry.digest == digest) {
                entries.push(Entry { digest, grant: Arc::default() });
            }
        }
        Self { entries }
    }

    /// How many there are, those that are not valid now included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no slave can connect.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What each code allows.
    pub(crate) fn grants(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.entries.iter().map(|entry| &entry.grant)
    }

    /// Takes the same time whatever is presented (of one length) and whichever entry it is.
    pub(crate) fn find(
        &self,
        presented: &str,
        now: OffsetDateTime,
    ) -> Result<(CodeDigest, Arc<Grant>), Invalid> {
        let digest = CodeDigest::of(presented);
        Ok((digest, self.grant(digest, now)?))
    }

    /// What a code that was presented before allows now.
    pub(crate) fn grant(&self, digest: CodeDigest, now: OffsetDateTime) -> Result<Arc<Grant>, Invalid> {
        let mut found = u64::MAX;
        for (index, entry) in (0_u64..).zip(&self.entries) {
            found = u64::conditional_select(&found, &index, entry.digest.0.ct_eq(&digest.0));
        }
        let entry = usize::try_from(found).ok().and_then(|index| self.entries.get(index));
        let grant = &entry.ok_or(Invalid::Unknown)?.grant;
        grant.check(now).map(|()| Arc::clone(grant))
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
    fn listed_and_filed_codes_hold_together_and_the_file_says_what_its_own_are() {
        let file =
            CodesFile::parse("codes:\n- {code: one, name: office}\n- {code: two, name: lab}\n").unwrap();
        let codes = Codes::new(&SecretSet::new(["two", "three"]), Some(&file));
        assert_eq!(codes.len(), 3);
        let now = at("2026-01-01T00:00:00Z");
        let name = |code| codes.find(code, now).map(|(_, grant)| grant.name().map(str::to_owned));
        assert_eq!(name(" one "), Ok(Some("office".into())));
        assert_eq!(name("two"), Ok(Some("lab".into())));
        assert_eq!(name("three"), Ok(None));
        for wrong in ["", "One", "four", "one two"] {
            assert_eq!(name(wrong), Err(Invalid::Unknown), "{wrong:?}");
        }
    }

    #[test]
    fn codes_hold_from_their_first_moment_to_their_last() {
        let file = CodesFile::parse(
            "- code: a\n  not_before: 2026-01-01T00:00:00Z\n  not_after: 2026-02-01T01:00:00+01:00\n",
        )
        .unwrap();
        let codes = Codes::new(&SecretSet::default(), Some(&file));
        let ask = |time| codes.find("a", at(time)).map(drop);
        assert_eq!(ask("2025-12-31T23:59:59Z"), Err(Invalid::Early(at("2026-01-01T00:00:00Z"))));
        assert_eq!(ask("2026-01-01T00:00:00Z"), Ok(()));
        assert_eq!(ask("2026-01-31T23:59:59Z"), Ok(()));
        assert_eq!(ask("2026-02-01T00:00:00Z"), Err(Invalid::Expired(at("2026-02-01T00:00:00Z"))));
    }

    #[test]
    fn nothing_shows_a_code() {
        let file = CodesFile::parse("- {code: hush, name: office}\n").unwrap();
        let codes = Codes::new(&SecretSet::new(["hush2"]), Some(&file));
        let text = format!("{codes:?} {file:?}");
        assert!(!text.contains("hush") && text.contains("office"), "{text}");
    }
}
