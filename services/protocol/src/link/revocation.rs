//! Facts about revoked grants of the proxies' OAuth broker, which slaves pass on and remember (docs/PROTOCOL.md, "Several proxies").
//! Must not know tokens, nor how facts are authenticated.

use std::fmt;

use crate::link::base64url;

/// Most facts of one fleet that are remembered for a peer that comes back; those that end first are forgotten first.
pub const MAX_REVOCATIONS: usize = 4096;

/// Most facts in one frame, which must fit one chunk.
pub const MAX_TOLD_REVOCATIONS: usize = 512;

/// Id of a grant: all codes and tokens of the grant have it, and none follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantId(pub [u8; 16]);

impl GrantId {
    /// Reads what [`fmt::Display`] writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        base64url::decode(text).map(Self)
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

/// Revocation of a grant, as a proxy says it. Ordered by the end of the grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationFact {
    /// When the grant would have ended, in seconds since 1970: from then on the fact is of no use.
    pub until: u64,
    /// The grant.
    pub grant: GrantId,
    /// Authentication tag over [`RevocationFact::text`].
    pub tag: [u8; 16],
}

impl RevocationFact {
    /// Returns what the tag of a fact authenticates.
    pub fn text(grant: GrantId, until: u64) -> String {
        format!("revoked\n{grant}\n{until}")
    }

    /// Reads what [`fmt::Display`] writes; `None` for anything else, so that a fact has one text.
    pub fn parse(text: &str) -> Option<Self> {
        let (grant, rest) = text.split_once('.')?;
        let (until, tag) = rest.split_once('.')?;
        let fact =
            Self { until: until.parse().ok()?, grant: GrantId::parse(grant)?, tag: base64url::decode(tag)? };
        (fact.to_string() == text).then_some(fact)
    }
}

impl fmt::Display for RevocationFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.grant, self.until, base64url::encode(&self.tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_has_one_text_and_those_that_end_first_come_first() {
        let fact = RevocationFact { until: 1_795_737_600, grant: GrantId([7; 16]), tag: [9; 16] };
        let text = fact.to_string();
        assert_eq!(text, "BwcHBwcHBwcHBwcHBwcHBw.1795737600.CQkJCQkJCQkJCQkJCQkJCQ");
        assert_eq!(RevocationFact::parse(&text), Some(fact));
        for bad in [
            text.replace(".17", ".017"),
            text.replace(".17", ".+17"),
            text.replace(".17", ".-17"),
            text[1..].to_owned(),
            format!("{text}."),
            format!("{text}A"),
            "..".to_owned(),
        ] {
            assert_eq!(RevocationFact::parse(&bad), None, "{bad}");
        }
        let later = RevocationFact { until: fact.until + 1, grant: GrantId([0; 16]), tag: [0; 16] };
        assert!(fact < later);
    }
}
