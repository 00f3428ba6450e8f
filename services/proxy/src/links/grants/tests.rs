//! Tests of facts about grants that slaves pass on: what a slave is told, and what is believed of what it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use protocol::link::frame::FrameKind;
use protocol::link::grant_fact::{GrantId, MAX_GRANT_FACTS};
use protocol::link::handshake::SlaveHello;
use protocol::link::ids::InstanceId;
use protocol::link::limits::LinkLimits;
use protocol::link::revocation::RevocationFact;
use protocol::link::rotation::RotationFact;
use runtime::secret::SessionKey;

use super::super::catalog::CatalogAccounts;
use super::super::grant_tables::IssuedToken;
use super::super::slave::LinkState;
use super::*;
use crate::access::Grant;
use crate::config::{EjectionPolicy, SlaveMode};
use crate::fleet::Fleet;

const END: u64 = u64::MAX;

fn registry(key: &str) -> Arc<Registry> {
    let ejection = EjectionPolicy { after: 5, base: Duration::from_secs(10) };
    let fleet = Fleet::new(InstanceId(1), &[SessionKey::derive(key)]).unwrap();
    let catalogs = CatalogAccounts::new(1 << 20, 64);
    Registry::new(fleet, SlaveMode::Multi, 10, LinkLimits::default(), ejection, catalogs)
}

/// A slave whose link has come up; `linked`: it passes facts on.
fn slave(registry: &Registry, instance: u64, linked: bool) -> Arc<Slave> {
    let hello = SlaveHello {
        instance: format!("{instance:016x}"),
        slave_name: format!("s{instance}"),
        window: 131_072,
        linked: linked.then(Vec::new),
        ..SlaveHello::default()
    };
    registry.register(Some(&hello), Grant::default()).unwrap().slave
}

/// What a slave was sent about grants since it was asked last.
fn told_of_both(registry: &Registry, slave: &Slave) -> (Vec<RevocationFact>, Vec<RotationFact>) {
    registry.send_pending_revocations();
    registry.send_pending_rotations();
    let LinkState::Native(end) = &mut *slave.link() else { panic!("a native slave") };
    let frames = std::iter::from_fn(|| end.poll_transmit(Instant::now()));
    let facts = frames.filter(|frame| frame.kind == FrameKind::Session);
    let (mut revoked, mut rotated) = (Vec::new(), Vec::new());
    for fact in facts.filter_map(|frame| SessionFact::decode(&frame.payload)) {
        match fact {
            SessionFact::Revoked(facts) => revoked.extend(facts),
            SessionFact::Rotated(facts) => rotated.extend(facts),
            other => panic!("{other:?}"),
        }
    }
    (revoked, rotated)
}

fn told(registry: &Registry, slave: &Slave) -> Vec<RevocationFact> {
    told_of_both(registry, slave).0
}

fn told_issued(registry: &Registry, slave: &Slave) -> Vec<RotationFact> {
    told_of_both(registry, slave).1
}

/// The grants of a broker, how often it was asked to revoke some, and the tokens that it was told of.
#[derive(Default)]
struct Asked {
    revoked: BTreeMap<GrantId, u64>,
    revocations: usize,
    issued: Vec<IssuedToken>,
}

#[derive(Clone, Default)]
struct Revoked(Arc<Mutex<Asked>>);

impl Grants for Revoked {
    fn is_revoked(&self, grant: GrantId) -> bool {
        self.0.lock().revoked.contains_key(&grant)
    }

    fn revoke(&self, grants: &BTreeMap<GrantId, u64>) {
        let mut asked = self.0.lock();
        asked.revoked.extend(grants);
        asked.revocations += 1;
    }

    fn knows(&self, issued: &IssuedToken) -> bool {
        let asked = self.0.lock();
        asked.issued.iter().any(|known| known.grant == issued.grant && known.generation >= issued.generation)
    }

    fn on_issued(&self, issued: &IssuedToken) {
        self.0.lock().issued.push(*issued);
    }
}

fn id(number: u64) -> GrantId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    GrantId(id)
}

#[test]
fn slaves_are_told_at_once_and_when_they_link_until_the_grant_ends() {
    let registry = registry("a");
    let (one, silent) = (slave(&registry, 1, true), slave(&registry, 2, false));
    registry.tell_revoked(&[(id(1), END), (id(2), 7)].into());
    let fact = registry.fleet().revocation(id(1), END);
    assert_eq!(
        (told(&registry, &one), told(&registry, &silent)),
        (vec![fact], vec![]),
        "what has ended is told to nobody"
    );
    assert_eq!(told(&registry, &slave(&registry, 3, true)), [fact], "a slave that links later");
    assert_eq!(told(&registry, &slave(&registry, 4, false)), []);
    let many = (1..MAX_GRANT_FACTS as u64 + 100).map(|n| (id(n), END - n)).collect();
    registry.tell_revoked(&many);
    assert_eq!(told(&registry, &one).len(), MAX_GRANT_FACTS);
    let later = told(&registry, &slave(&registry, 5, true));
    assert_eq!(later.len(), MAX_GRANT_FACTS);
    assert!(later.iter().all(|fact| fact.until > END - 4200), "those that end last");
}

#[test]
fn facts_are_told_again_under_a_new_session_key() {
    let registry = registry("a");
    let one = slave(&registry, 1, true);
    registry.tell_revoked(&[(id(1), END)].into());
    let old = told(&registry, &one);
    registry.replace_keys(&SessionKeys::new(SessionKey::derive("b"), None));
    let new = told(&registry, &one);
    let by_b = super::tests::registry("b");
    assert!(by_b.fleet().is_genuine_revocation(&new[0]) && !by_b.fleet().is_genuine_revocation(&old[0]));
    assert_eq!(told(&registry, &slave(&registry, 2, true)), new);
}

#[test]
fn only_what_a_proxy_of_the_fleet_said_revokes_and_only_once() {
    let (registry, revoked) = (registry("a"), Revoked::default());
    let one = slave(&registry, 1, true);
    let genuine = registry.fleet().revocation(id(1), END);
    registry.on_forwarded_revocations(&[genuine], &one);
    registry.set_grants(revoked.clone());
    let foreign = super::tests::registry("b").fleet().revocation(id(2), END);
    let altered = RevocationFact { grant: id(3), ..genuine };
    let ended = registry.fleet().revocation(id(4), 7);
    for _ in 0..2 {
        registry.on_forwarded_revocations(&[foreign, altered, ended, genuine, genuine], &one);
    }
    let asked = revoked.0.lock();
    assert_eq!((&asked.revoked, asked.revocations), (&[(id(1), END)].into(), 1));
}

/// A slave that makes facts up costs a bounded number of checks, and so does one that repeats a true one.
#[test]
fn a_slave_that_lies_is_not_listened_to_for_a_while_and_others_are() {
    let (registry, revoked) = (registry("a"), Revoked::default());
    registry.set_grants(revoked.clone());
    let (liar, honest) = (slave(&registry, 1, true), slave(&registry, 2, true));
    let genuine = registry.fleet().revocation(id(0), END);
    let mut flood: Vec<_> =
        (1..200).map(|n| RevocationFact { until: END, grant: id(n), tag: [0; 16] }).collect();
    flood.push(genuine);
    registry.on_forwarded_revocations(&flood, &liar);
    assert!(liar.is_distrusted(Instant::now()) && revoked.0.lock().revoked.is_empty());
    registry.on_forwarded_revocations(&[genuine], &liar);
    assert!(revoked.0.lock().revoked.is_empty(), "withheld by its own fault");
    registry.on_forwarded_revocations(&[genuine], &honest);
    assert!(revoked.0.lock().revoked.contains_key(&id(0)));
}

fn token(grant: u64, generation: u64) -> IssuedToken {
    IssuedToken { grant: id(grant), until: END, generation, token: [5; 16] }
}

/// The fact about a token under a session key.
fn issued(key: &str, token: &IssuedToken) -> RotationFact {
    let IssuedToken { grant, until, generation, token } = *token;
    registry(key).fleet().rotation(&RotationFact { until, grant, generation, token, tag: [0; 16] })
}

#[test]
fn slaves_are_told_the_newest_token_of_each_grant_at_once_when_they_link_and_under_a_new_key() {
    let registry = registry("a");
    let (one, silent) = (slave(&registry, 1, true), slave(&registry, 2, false));
    registry.tell_issued(token(1, 0));
    assert_eq!(told_issued(&registry, &one), [issued("a", &token(1, 0))]);
    for generation in 1..10 {
        registry.tell_issued(token(1, generation));
    }
    registry.tell_issued(IssuedToken { until: 7, ..token(2, 0) });
    let newest = issued("a", &token(1, 9));
    assert_eq!(told_issued(&registry, &one).last(), Some(&newest), "told together");
    assert_eq!(told_issued(&registry, &slave(&registry, 3, true)), [newest], "a slave that links later");
    assert_eq!(told_issued(&registry, &silent), []);
    registry.replace_keys(&SessionKeys::new(SessionKey::derive("b"), None));
    assert_eq!(told_issued(&registry, &one), [issued("b", &token(1, 9))]);
    assert_eq!(told_issued(&registry, &slave(&registry, 4, true)), [issued("b", &token(1, 9))]);
    for grant in 0..MAX_GRANT_FACTS as u64 + 100 {
        registry.tell_issued(IssuedToken { until: END - 10_000 + grant, ..token(grant, 1) });
    }
    assert_eq!(told_issued(&registry, &one).len(), MAX_GRANT_FACTS);
    assert_eq!(told_issued(&registry, &slave(&registry, 5, true)).len(), MAX_GRANT_FACTS);
}

#[test]
fn only_what_a_proxy_of_the_fleet_issued_counts_and_a_slave_that_lies_is_not_listened_to() {
    let (registry, grants) = (registry("a"), Revoked::default());
    let (one, liar) = (slave(&registry, 1, true), slave(&registry, 2, true));
    let genuine = issued("a", &token(1, 3));
    registry.on_forwarded_rotations(&[genuine], &one);
    registry.set_grants(grants.clone());
    let ended = issued("a", &IssuedToken { until: 7, ..token(2, 3) });
    let altered = RotationFact { generation: 4, ..genuine };
    for _ in 0..2 {
        let facts = [issued("b", &token(4, 3)), altered, ended, genuine, issued("a", &token(1, 2))];
        registry.on_forwarded_rotations(&facts, &one);
    }
    assert_eq!(grants.0.lock().issued, [token(1, 3)], "once, and nothing older");
    let mut flood: Vec<_> =
        (10..200).map(|n| RotationFact { tag: [0; 16], ..issued("a", &token(n, 1)) }).collect();
    flood.push(issued("a", &token(5, 1)));
    registry.on_forwarded_rotations(&flood, &liar);
    assert!(liar.is_distrusted(Instant::now()) && grants.0.lock().issued.len() == 1);
    registry.on_forwarded_rotations(&flood[190..], &liar);
    assert_eq!(grants.0.lock().issued.len(), 1, "withheld by its own fault");
    registry.on_forwarded_rotations(&flood[190..], &one);
    assert_eq!(grants.0.lock().issued, [token(1, 3), token(5, 1)]);
}
