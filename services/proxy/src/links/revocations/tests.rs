//! Tests of revocations that slaves pass on: what a slave is told, and what is believed of what it says.

use std::time::Duration;

use parking_lot::Mutex;
use protocol::link::frame::FrameKind;
use protocol::link::handshake::SlaveHello;
use protocol::link::ids::InstanceId;
use protocol::link::limits::LinkLimits;
use protocol::link::revocation::RevocationFact;
use runtime::secret::SessionKey;

use super::super::catalog::CatalogAccounts;
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

/// What a slave was sent about revoked grants since it was asked last.
fn told(registry: &Registry, slave: &Slave) -> Vec<RevocationFact> {
    registry.send_pending_revocations();
    let LinkState::Native(end) = &mut *slave.link() else { panic!("a native slave") };
    let frames = std::iter::from_fn(|| end.poll_transmit(Instant::now()));
    let facts = frames.filter(|frame| frame.kind == FrameKind::Session);
    let facts = facts.filter_map(|frame| SessionFact::decode(&frame.payload));
    facts
        .flat_map(|fact| match fact {
            SessionFact::Revoked(facts) => facts,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// The grants of a broker, and how often it was asked to revoke some.
#[derive(Clone, Default)]
struct Revoked(Arc<Mutex<(BTreeMap<GrantId, u64>, usize)>>);

impl Grants for Revoked {
    fn is_revoked(&self, grant: GrantId) -> bool {
        self.0.lock().0.contains_key(&grant)
    }

    fn revoke(&self, grants: &BTreeMap<GrantId, u64>) {
        let mut revoked = self.0.lock();
        revoked.0.extend(grants);
        revoked.1 += 1;
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
    let many = (1..MAX_REVOCATIONS as u64 + 100).map(|n| (id(n), END - n)).collect();
    registry.tell_revoked(&many);
    assert_eq!(told(&registry, &one).len(), MAX_REVOCATIONS);
    let later = told(&registry, &slave(&registry, 5, true));
    assert_eq!(later.len(), MAX_REVOCATIONS);
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
    assert_eq!(*revoked.0.lock(), ([(id(1), END)].into(), 1));
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
    assert!(liar.false_facts.is_distrusted(Instant::now()) && revoked.0.lock().0.is_empty());
    registry.on_forwarded_revocations(&[genuine], &liar);
    assert!(revoked.0.lock().0.is_empty(), "withheld by its own fault");
    registry.on_forwarded_revocations(&[genuine], &honest);
    assert!(revoked.0.lock().0.contains_key(&id(0)));
}
