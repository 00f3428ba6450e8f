//! Tests of the registration of links: who is taken for whom.

use std::time::Duration;

use aws_lc_rs::hmac;
use proptest::prelude::*;
use protocol::link::handshake::{PROTOCOL_NAME, ResumeProof, VERSIONS, nonce_text, proven_text};
use protocol::link::limits::LinkLimits;
use runtime::secret::{SecretSet, SessionKey};

use super::super::catalog::CatalogAccounts;
use super::*;
use crate::access::{Announced, CodeStore, CodesFile};
use crate::config::EjectionPolicy;
use crate::fleet::Fleet;

const OWN: InstanceId = InstanceId(1);

pub(in crate::links) fn registry(mode: SlaveMode, max_slaves: usize) -> Arc<Registry> {
    let ejection = EjectionPolicy { after: 5, base: Duration::from_secs(10) };
    let fleet = Fleet::new(OWN, &[SessionKey::derive("a")]).unwrap();
    let catalogs = CatalogAccounts::new(1 << 20, 64);
    Registry::new(fleet, mode, max_slaves, LinkLimits::default(), ejection, catalogs)
}

/// The grant of a code: `one` and `two` are unnamed, `x` and `x2` are named x, `y` is named y.
fn grant(code: &str) -> Grant {
    let file =
        CodesFile::parse("- {code: x, name: x}\n- {code: x2, name: x}\n- {code: y, name: y}\n").unwrap();
    CodeStore::new(SecretSet::new(["one", "two"]), Some(&file))
        .authorize(code, None, Announced::default())
        .unwrap()
}

fn hello(instance: u64, seat: Option<&str>) -> SlaveHello {
    SlaveHello {
        name: PROTOCOL_NAME.into(),
        versions: VERSIONS.to_vec(),
        instance: format!("{instance:016x}"),
        nonce: nonce_text([7; 32]),
        slave_name: format!("s{instance}"),
        window: 131_072,
        seat: seat.map(str::to_owned),
        ..SlaveHello::default()
    }
}

/// The hello of the process of an earlier link, with its proof.
fn again(before: &SlaveHello, slave: &Slave) -> SlaveHello {
    let secret = slave.process.as_ref().unwrap().secret.secret().bytes().unwrap();
    let mut random = [0; 32];
    getrandom::fill(&mut random).unwrap();
    let nonce = nonce_text(random);
    let text = proven_text(&nonce, &OWN.to_string());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), text.as_bytes());
    let proof = ResumeProof::new(tag.as_ref().try_into().unwrap());
    SlaveHello { nonce, resume: [(OWN.to_string(), proof)].into(), ..before.clone() }
}

#[test]
fn slaves_beyond_max_slaves_are_rejected_and_known_ones_may_come_back() {
    let registry = registry(SlaveMode::Multi, 2);
    let first = registry.register(Some(&hello(1, None)), Grant::default()).unwrap();
    registry.register(None, Grant::default()).unwrap();
    let Err(full) = registry.register(Some(&hello(3, None)), Grant::default()) else { panic!("full") };
    assert_eq!(full.to_string(), "2 slaves are connected already (MAX_SLAVES)");
    assert!(registry.register(None, Grant::default()).is_err(), "a plain slave likewise");
    let proved = again(&hello(1, None), &first.slave);
    let again = registry.register(Some(&proved), Grant::default()).unwrap();
    assert!(Arc::ptr_eq(&first.slave, &again.slave) && first.generation < again.generation);
    assert!(again.slave.link_down(again.generation, Instant::now()));
    assert!(registry.register(Some(&hello(3, None)), Grant::default()).is_ok(), "a place came free");
}

#[test]
fn in_single_mode_a_new_slave_asks_the_others_to_close() {
    let registry = registry(SlaveMode::Single, 1);
    let first = registry.register(Some(&hello(1, None)), Grant::default()).unwrap();
    let second = registry.register(Some(&hello(2, None)), Grant::default()).unwrap();
    assert_eq!(first.slave.close_request(), Some(CloseReason::Replaced));
    assert_eq!(second.slave.close_request(), None);
}

#[test]
fn a_restarted_process_supersedes_the_one_in_its_host_slot() {
    let registry = registry(SlaveMode::Multi, 10);
    let old = registry.register(Some(&hello(1, Some("a"))), grant("x")).unwrap();
    old.slave.link_down(old.generation, Instant::now());
    registry.register(Some(&hello(2, Some("b"))), grant("x")).unwrap();
    assert_eq!(registry.all().len(), 2, "another slot changes nothing");
    let other = registry.register(Some(&hello(3, Some("a"))), grant("y")).unwrap();
    assert_ne!(other.slave.host_slot(), old.slave.host_slot(), "the same seat of another identity");
    assert_eq!(registry.all().len(), 3, "which supersedes nobody");
    let new = registry.register(Some(&hello(4, Some("a"))), grant("x2")).unwrap();
    assert_eq!(new.slave.host_slot(), old.slave.host_slot());
    assert!(registry.all().iter().all(|slave| slave.key != old.slave.key));
    assert_eq!(registry.all().len(), 3);
}

#[test]
fn plain_slaves_are_named_by_identity_or_by_a_free_number() {
    let registry = registry(SlaveMode::Multi, 10);
    let names: Vec<String> =
        (0..3).map(|_| registry.register(None, Grant::default()).unwrap().slave.name.clone()).collect();
    assert_eq!(names, ["plain1", "plain2", "plain3"]);
    assert_eq!(registry.register(None, grant("x")).unwrap().slave.name, "x");
}

#[test]
fn a_process_is_resumed_by_identity_instance_and_secret_together() {
    let registry = registry(SlaveMode::Multi, 10);
    let first = registry.register(Some(&hello(1, None)), grant("x")).unwrap();
    let proved = again(&hello(1, None), &first.slave);
    let other_instance = SlaveHello { instance: format!("{:016x}", 2), ..proved.clone() };
    for (hello, code, resumed) in [
        (hello(1, None), "x", false),
        (proved.clone(), "y", false),
        (proved.clone(), "one", false),
        (other_instance, "x", false),
        (proved.clone(), "x", true),
        (proved, "x2", true),
    ] {
        let registered = registry.register(Some(&hello), grant(code)).unwrap();
        let is_first = Arc::ptr_eq(&registered.slave, &first.slave);
        assert_eq!((registered.resumed, is_first), (resumed, resumed), "{code} {hello:?}");
    }
}

#[test]
fn codes_without_a_name_can_be_exchanged_for_one_another_by_the_process_that_has_the_secret() {
    let registry = registry(SlaveMode::Multi, 10);
    let first = registry.register(Some(&hello(1, None)), grant("one")).unwrap();
    let proved = again(&hello(1, None), &first.slave);
    assert!(!registry.register(Some(&hello(1, None)), grant("two")).unwrap().resumed);
    assert!(registry.register(Some(&proved), grant("two")).unwrap().resumed);
}

#[test]
fn ids_say_nothing_of_instances_and_a_plain_slave_has_none_to_claim() {
    let registry = registry(SlaveMode::Multi, 10);
    let plain = registry.register(None, grant("one")).unwrap();
    for key in [0, 1, plain.slave.key] {
        let native = registry.register(Some(&hello(key, None)), grant("one")).unwrap();
        assert!(!native.resumed && native.slave.key != plain.slave.key && native.slave.key != key);
    }
    assert!(plain.slave.is_linked() && plain.slave.close_request().is_none());
}

#[test]
fn only_a_linked_process_of_the_identity_is_linked_already() {
    let registry = registry(SlaveMode::Multi, 10);
    let first = registry.register(Some(&hello(1, None)), grant("x")).unwrap();
    let says_so = SlaveHello { linked: Some(vec![OWN.to_string()]), ..hello(1, None) };
    let asks = |hello: &SlaveHello, code| registry.is_linked_here(hello, grant(code).identity());
    assert!(asks(&says_so, "x") && asks(&says_so, "x2"));
    assert!(!asks(&says_so, "y") && !asks(&hello(1, None), "x"));
    assert!(!asks(&SlaveHello { instance: format!("{:016x}", 2), ..says_so.clone() }, "x"));
    first.slave.link_down(first.generation, Instant::now());
    assert!(!asks(&says_so, "x"), "the link is down: the slave may come back");
}

/// A link of somebody else than the victim.
#[derive(Clone, Debug)]
struct Stranger {
    code: &'static str,
    instance: u64,
    seat: Option<&'static str>,
    /// It proves to be its own last process.
    proof: bool,
    /// It repeats a hello of the victim, as somebody who read it could.
    replay: bool,
}

fn stranger() -> impl Strategy<Value = Stranger> {
    let code = prop::sample::select(vec!["y", "one", "two"]);
    let seat = prop::sample::select(vec![None, Some("a"), Some("b")]);
    (code, 1u64..4, seat, any::<bool>(), any::<bool>())
        .prop_map(|(code, instance, seat, proof, replay)| Stranger { code, instance, seat, proof, replay })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_that_others_say_changes_a_slave(strangers in prop::collection::vec(stranger(), 1..20), up in any::<bool>()) {
        let registry = registry(SlaveMode::Multi, 100);
        let victim = registry.register(Some(&hello(1, Some("a"))), grant("x")).unwrap();
        let seen = again(&hello(1, Some("a")), &victim.slave);
        if !up {
            victim.slave.link_down(victim.generation, Instant::now());
        }
        let mut own: Vec<(SlaveHello, Registered, &'static str)> = Vec::new();
        for Stranger { code, instance, seat, proof, replay } in strangers {
            let mut said = hello(instance, seat);
            if replay {
                said = SlaveHello { seat: said.seat, instance: said.instance, ..seen.clone() };
            } else if let Some((before, of, _)) = own.last().filter(|_| proof) {
                said = again(before, &of.slave);
            }
            let registered = registry.register(Some(&said), grant(code)).unwrap();
            prop_assert!(!Arc::ptr_eq(&registered.slave, &victim.slave));
            if registered.resumed {
                let known = own.iter().find(|(_, known, _)| Arc::ptr_eq(&known.slave, &registered.slave));
                let (_, _, by) = known.unwrap();
                prop_assert!(*by == code || (*by != "y" && code != "y"), "{by} was resumed by {code}");
            }
            own.push((said, registered, code));
        }
        prop_assert!(victim.slave.is_current(victim.generation));
        prop_assert_eq!(victim.slave.is_linked(), up);
        prop_assert_eq!(victim.slave.close_request(), None);
        prop_assert!(registry.all().iter().any(|slave| Arc::ptr_eq(slave, &victim.slave)), "forgotten");
        let back = registry.register(Some(&again(&hello(1, Some("a")), &victim.slave)), grant("x")).unwrap();
        prop_assert!(back.resumed && Arc::ptr_eq(&back.slave, &victim.slave));
    }
}

#[test]
fn a_code_keeps_no_more_awaited_slaves_than_it_may_have_links() {
    let registry = registry(SlaveMode::Multi, 1000);
    let (now, grace) = (Instant::now(), Duration::from_secs(12));
    let lose = |registered: &Registered| {
        let reason = super::super::disconnect::DisconnectReason::Silent;
        registered.slave.await_return(&reason, grace, now);
        assert!(registered.slave.link_down(registered.generation, now));
    };
    let other = registry.register(Some(&hello(1, None)), grant("y")).unwrap();
    lose(&other);
    for number in 2..200 {
        lose(&registry.register(Some(&hello(number, None)), grant("x")).unwrap());
    }
    let awaited = registry.all().into_iter().filter(|slave| slave.awaited_until(now).is_some());
    let awaited: Vec<_> = awaited.map(|slave| slave.grant().identity().to_string()).collect();
    let of = |name: &str| awaited.iter().filter(|identity| *identity == name).count();
    assert!((1..=64).contains(&of("x")), "{}", of("x"));
    assert_eq!(of("y"), 1, "another code's is still awaited");
}
