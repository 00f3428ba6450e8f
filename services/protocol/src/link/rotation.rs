//! Facts about the refresh tokens that the proxies' OAuth broker issued last, which slaves pass on and remember: a proxy that knows them
//! notices the use of a token that another one has replaced (docs/PROTOCOL.md, "Several proxies"). Must not know tokens, nor how facts are
//! authenticated.

use std::fmt;

use crate::link::base64url;
use crate::link::grant_fact::{GrantFact, GrantId};

/// Position of the refresh token of a grant that is valid, as the proxy says it that issued the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationFact {
    /// End of the grant, in seconds since 1970: from then on the fact is of no use.
    pub until: u64,
    /// The grant.
    pub grant: GrantId,
    /// Number of the token among those of the grant.
    pub generation: u64,
    /// Id of the token, from which no token follows: two tokens of one number were issued for one that was used twice.
    pub token: [u8; 16],
    /// Authentication tag over [`RotationFact::text`].
    pub tag: [u8; 16],
}

impl RotationFact {
    /// Returns what the tag of this fact authenticates.
    pub fn text(&self) -> String {
        let Self { until, grant, generation, token, .. } = self;
        format!("rotated\n{grant}\n{until}\n{generation}\n{}", base64url::encode(token))
    }

    /// Reads what [`fmt::Display`] writes; `None` for anything else, so that a fact has one text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let fact = Self {
            grant: GrantId::parse(parts.next()?)?,
            until: parts.next()?.parse().ok()?,
            generation: parts.next()?.parse().ok()?,
            token: base64url::decode(parts.next()?)?,
            tag: base64url::decode(parts.next()?)?,
        };
        (fact.to_string() == text).then_some(fact)
    }
}

impl fmt::Display for RotationFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { until, grant, generation, token, tag } = self;
        let (token, tag) = (base64url::encode(token), base64url::encode(tag));
        write!(f, "{grant}.{until}.{generation}.{token}.{tag}")
    }
}

impl GrantFact for RotationFact {
    fn grant(&self) -> GrantId {
        self.grant
    }

    fn until(&self) -> u64 {
        self.until
    }

    /// A fact about an older token is no news; one about another token of the same number is: a proxy is to see both.
    fn is_news_after(&self, known: &Self) -> bool {
        self.generation >= known.generation && self != known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(generation: u64) -> RotationFact {
        RotationFact {
            until: 1_795_737_600,
            grant: GrantId([7; 16]),
            generation,
            token: [8; 16],
            tag: [9; 16],
        }
    }

    #[test]
    fn a_fact_has_one_text() {
        let text = fact(3).to_string();
        assert_eq!(text, "BwcHBwcHBwcHBwcHBwcHBw.1795737600.3.CAgICAgICAgICAgICAgICA.CQkJCQkJCQkJCQkJCQkJCQ");
        assert_eq!(RotationFact::parse(&text), Some(fact(3)));
        for bad in [
            text.replace(".17", ".017"),
            text.replace(".3.", ".+3."),
            text.replace(".3.", "."),
            text.replace(".3.", ".3.3."),
            text[1..].to_owned(),
            format!("{text}."),
            format!("{text}A"),
            "....".to_owned(),
        ] {
            assert_eq!(RotationFact::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_later_token_and_another_one_of_the_same_number_are_news() {
        let known = fact(3);
        assert!(fact(4).is_news_after(&known) && !fact(2).is_news_after(&known));
        assert!(!known.is_news_after(&known));
        assert!(RotationFact { token: [1; 16], ..known }.is_news_after(&known));
        assert!(RotationFact { tag: [1; 16], ..known }.is_news_after(&known), "under another session key");
    }
}
