//! Facts about revoked grants of the proxies' OAuth broker, which slaves pass on and remember (docs/PROTOCOL.md, "Several proxies").
//! Must not know tokens, nor how facts are authenticated.

use std::fmt;

use crate::link::base64url;
use crate::link::grant_fact::{GrantFact, GrantId};

/// Revocation of a grant, as a proxy says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl GrantFact for RevocationFact {
    fn grant(&self) -> GrantId {
        self.grant
    }

    fn until(&self) -> u64 {
        self.until
    }

    fn is_news_after(&self, known: &Self) -> bool {
        self != known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_has_one_text() {
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
    }

    #[test]
    fn a_fact_is_news_once_and_again_under_another_key() {
        let fact = RevocationFact { until: 5, grant: GrantId([7; 16]), tag: [9; 16] };
        assert!(!fact.is_news_after(&fact) && fact.is_news_after(&RevocationFact { tag: [1; 16], ..fact }));
    }
}
