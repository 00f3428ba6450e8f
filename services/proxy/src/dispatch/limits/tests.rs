//! Limits count for whom they are, and keep their count where they do not change.

use front::Principal;
use front::calls::HeaderMap;
use runtime::secret::SecretSet;

use super::*;
use crate::routes::client_digest;

fn routes(text: &str) -> Routes {
    Routes::parse(text).unwrap()
}

fn asks(limits: &Limits, who: Principal, peer: &str) -> Result<(), Failure> {
    let headers = HeaderMap::new();
    limits.admit(&CallContext { principal: who, headers: &headers, peer: Some(peer.parse().unwrap()) })
}

#[test]
fn each_client_has_its_own_limit_and_a_named_one_that_of_its_name() {
    let keys = SecretSet::new(["a", "b", "c"]);
    let who = |key: &str| Principal::identify(&keys, key.as_bytes()).unwrap();
    let text = format!(
        "clients:\n  vip: [{}]\nlimits:\n  clients: {{ vip: 3/h, default: 1/h }}\n",
        client_digest("c")
    );
    let config = BalanceConfig::for_test();
    let limits = Limits::new(&routes(&text), &config, &Limits::default());
    for (key, calls) in [("a", 1), ("b", 1), ("c", 3)] {
        for _ in 0..calls {
            assert!(asks(&limits, who(key), "1.1.1.1").is_ok(), "{key}");
        }
        let refused = asks(&limits, who(key), "1.1.1.1").unwrap_err();
        let Failure::RateLimited { what, retry_after } = refused else { panic!("{refused:?}") };
        assert!((3000 / calls..=3600 / calls).contains(&retry_after), "{what}: {retry_after}");
    }
    // Without keys by address; whoever has one IPv6 address has the network.
    for (peer, admitted) in [
        ("1.1.1.1", true),
        ("1.1.1.1", false),
        ("1.1.1.2", true),
        ("2001:db8::1", true),
        ("2001:db8::2", false),
    ] {
        assert_eq!(asks(&limits, Principal::ANYONE, peer).is_ok(), admitted, "{peer}");
    }
}

#[test]
fn what_does_not_change_counts_on() {
    let config = BalanceConfig { client: Some(Rate::parse("2/h").unwrap()), ..BalanceConfig::for_test() };
    let first = Limits::new(&Routes::default(), &config, &Limits::default());
    assert!(asks(&first, Principal::ANYONE, "1.1.1.1").is_ok());
    let same = Limits::new(&routes("limits: { tools: [{ tool: x, rate: 1/s }] }"), &config, &first);
    assert!(asks(&same, Principal::ANYONE, "1.1.1.1").is_ok());
    assert!(asks(&same, Principal::ANYONE, "1.1.1.1").is_err());
    let more = Limits::new(&routes("limits: { clients: { default: 5/h } }"), &config, &same);
    assert!(asks(&more, Principal::ANYONE, "1.1.1.1").is_ok());
}

#[test]
fn tools_are_limited_by_the_first_entry_for_them_and_keep_their_count() {
    let text = "limits: { tools: [{ tool: big, rate: 2/h, burst: 1 }, { tool: b*, rate: 1/h }] }";
    let config = BalanceConfig { tool: Some(Rate::parse("9/h").unwrap()), ..BalanceConfig::for_test() };
    let routes = routes(text);
    let limits = Limits::new(&routes, &config, &Limits::default());
    let of = |limits: &Limits, tool| limits.of_tool((&routes, &config), [tool, tool]).unwrap();
    let rates = ["big", "bow", "other"].map(|tool| of(&limits, tool).rate().to_string());
    assert_eq!(rates, ["2/h:1", "1/h", "9/h"]);
    assert!(admit_to("big", Some(&of(&limits, "big"))).is_ok());
    let later = Limits::new(&routes, &config, &limits);
    assert!(matches!(admit_to("big", Some(&of(&later, "big"))), Err(Failure::RateLimited { .. })));
    assert!(admit_to("bow", Some(&of(&later, "bow"))).is_ok(), "another tool, another count");
    assert!(admit_to("any", None).is_ok());
}

#[test]
fn many_clients_do_not_fill_the_memory() {
    let many = Many::new(Rate::parse("1/h").unwrap(), 100);
    for n in 0..10_000_u64 {
        assert!(many.take(Client::Session(n)).is_none(), "client {n} has made no call yet");
        assert!(many.limiter.load().len() <= 100);
    }
    let last = Client::Session(9_999);
    assert!(many.take(last).is_some());
}
