//! Each limit counts the calls of its own client or tool, and keeps its count while its rate does not change.

use std::sync::Arc;

use front::calls::HeaderMap;
use front::{Credential, Principal};
use runtime::keys::Key;

use super::*;
use crate::routes::client_digest;

fn routes(text: &str) -> Routes {
    Routes::parse(text).unwrap()
}

fn admit(limits: &RateLimits, key: Option<&Key>, peer: &str) -> Result<(), Failure> {
    let headers = HeaderMap::new();
    let principal = key.map_or(Principal::ANYONE, Principal::of);
    let credential = Credential { key: key.cloned().map(Arc::new), ..Credential::default() };
    let peer = Some(peer.parse().unwrap());
    limits.admit(&CallContext { principal, credential: &credential, headers: &headers, peer })
}

#[test]
fn each_client_has_a_limit_of_its_own() {
    let text = format!(
        "clients:\n  vip: [{}]\n  team: key:team\nlimits:\n  clients: {{ vip: 3/h, team: 2/h, default: 1/h }}\n",
        client_digest("c")
    );
    let config = BalanceConfig::for_test();
    let limits = RateLimits::new(&routes(&text), &config, &RateLimits::default());
    for (key, calls) in [("a", 1), ("b", 1), ("c", 3)] {
        for _ in 0..calls {
            assert!(admit(&limits, Some(&Key::of(key)), "1.1.1.1").is_ok(), "{key}");
        }
        let refused = admit(&limits, Some(&Key::of(key)), "1.1.1.1").unwrap_err();
        let Failure::RateLimited { what, retry_after } = refused else { panic!("{refused:?}") };
        assert!((3000 / calls..=3600 / calls).contains(&retry_after), "{what}: {retry_after}");
    }
    // A named key is known by its digest and by its name; keys of one name share a limit.
    let named = |key: &str, name: &str| Key::of(key).named(name);
    assert!(admit(&limits, Some(&named("c", "other")), "1.1.1.1").is_err());
    for (key, admitted) in [("one", true), ("two", true), ("three", false)] {
        assert_eq!(admit(&limits, Some(&named(key, "team")), "1.1.1.1").is_ok(), admitted, "{key}");
    }
    // Without a key clients are told apart by address, and by network for IPv6.
    for (peer, admitted) in [
        ("1.1.1.1", true),
        ("1.1.1.1", false),
        ("1.1.1.2", true),
        ("2001:db8::1", true),
        ("2001:db8::2", false),
    ] {
        assert_eq!(admit(&limits, None, peer).is_ok(), admitted, "{peer}");
    }
}

#[test]
fn a_limit_of_the_same_rate_keeps_its_count() {
    let config = BalanceConfig { client: Some(Rate::parse("2/h").unwrap()), ..BalanceConfig::for_test() };
    let first = RateLimits::new(&Routes::default(), &config, &RateLimits::default());
    assert!(admit(&first, None, "1.1.1.1").is_ok());
    let same = RateLimits::new(&routes("limits: { tools: [{ tool: x, rate: 1/s }] }"), &config, &first);
    assert!(admit(&same, None, "1.1.1.1").is_ok());
    assert!(admit(&same, None, "1.1.1.1").is_err());
    let more = RateLimits::new(&routes("limits: { clients: { default: 5/h } }"), &config, &same);
    assert!(admit(&more, None, "1.1.1.1").is_ok());
}

#[test]
fn a_tool_is_limited_by_the_first_entry_that_matches() {
    let text = "limits: { tools: [{ tool: big, rate: 2/h, burst: 1 }, { tool: b*, rate: 1/h }] }";
    let config = BalanceConfig { tool: Some(Rate::parse("9/h").unwrap()), ..BalanceConfig::for_test() };
    let routes = routes(text);
    let limits = RateLimits::new(&routes, &config, &RateLimits::default());
    let of = |limits: &RateLimits, tool| limits.of_tool(&routes, &config, [tool, tool]).unwrap();
    let rates = ["big", "bow", "other"].map(|tool| of(&limits, tool).rate().to_string());
    assert_eq!(rates, ["2/h:1", "1/h", "9/h"]);
    assert!(admit_to_tool("big", Some(&of(&limits, "big"))).is_ok());
    let later = RateLimits::new(&routes, &config, &limits);
    assert!(matches!(admit_to_tool("big", Some(&of(&later, "big"))), Err(Failure::RateLimited { .. })));
    assert!(admit_to_tool("bow", Some(&of(&later, "bow"))).is_ok(), "each tool has a count of its own");
    assert!(admit_to_tool("any", None).is_ok());
}
