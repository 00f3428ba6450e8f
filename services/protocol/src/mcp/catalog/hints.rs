//! Hints of a list for caches (MCP 2026-07-28, "Caching"), and how those of several lists add up. Must not know lists.

use serde_json::value::RawValue;

/// How long a list may be kept, and for whom, as its backend says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListHints {
    /// `ttlMs`, in milliseconds; `None`: the backend does not say.
    pub ttl_ms: Option<u64>,
    /// `cacheScope` is there and not `public`: the list may be kept for one client only.
    pub private: bool,
}

impl ListHints {
    /// Reads the members `ttlMs` and `cacheScope` of a list. A negative time counts as 0, one that is no number as not given; a scope
    /// that is not `public` counts as `private`.
    pub fn read(ttl_ms: Option<&RawValue>, cache_scope: Option<&RawValue>) -> Self {
        let millis = ttl_ms.and_then(|json| json.get().parse::<f64>().ok());
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, drops fractions"
        )]
        let ttl_ms = millis.map(|millis| millis as u64);
        let scope = cache_scope.map(|json| serde_json::from_str::<String>(json.get()).unwrap_or_default());
        Self { ttl_ms, private: scope.is_some_and(|scope| scope != "public") }
    }

    /// Returns the hints of a list that is made of both: the shorter time, and private where either is.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let ttl_ms = match (self.ttl_ms, other.ttl_ms) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self { ttl_ms, private: self.private || other.private }
    }

    /// Returns the value of `cacheScope`; `None`: the backend did not say `private`.
    pub fn scope(self) -> Option<&'static str> {
        self.private.then_some("private")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn hints_are_read_and_what_is_unclear_counts_as_the_stricter() {
        for (json, ttl_ms, private) in [
            ("{}", None, false),
            (r#"{"ttlMs":5,"cacheScope":"public"}"#, Some(5), false),
            (r#"{"ttlMs":0,"cacheScope":"private"}"#, Some(0), true),
            (r#"{"ttlMs":-1}"#, Some(0), false),
            (r#"{"ttlMs":1.9e3}"#, Some(1900), false),
            (r#"{"ttlMs":1e400}"#, Some(u64::MAX), false),
            (r#"{"ttlMs":"5","cacheScope":"Public"}"#, None, true),
            (r#"{"cacheScope":1}"#, None, true),
            (r#"{"ttlMs":null,"cacheScope":null}"#, None, true),
        ] {
            let list: BTreeMap<&str, Box<RawValue>> = serde_json::from_str(json).unwrap();
            let member = |name| list.get(name).map(|raw| &**raw);
            let hints = ListHints::read(member("ttlMs"), member("cacheScope"));
            assert_eq!(hints, ListHints { ttl_ms, private }, "{json}");
        }
    }

    #[test]
    fn lists_add_up_to_the_shortest_time_and_the_narrowest_scope() {
        let hints = |ttl_ms, private| ListHints { ttl_ms, private };
        assert_eq!(hints(Some(5), false).with(hints(Some(3), true)), hints(Some(3), true));
        assert_eq!(hints(None, false).with(hints(Some(3), false)), hints(Some(3), false));
        assert_eq!(hints(None, true).with(ListHints::default()), hints(None, true));
    }
}
