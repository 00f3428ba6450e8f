//! Tests of the dispatcher: what a call allocates.

use std::time::Duration;

use allocation_counter::measure;
use front::Credential;
use front::calls::HeaderMap;
use futures_util::{FutureExt, StreamExt};
use protocol::link::handshake::{PROTOCOL_NAME, SlaveHello};
use protocol::link::ids::InstanceId;
use protocol::link::limits::LinkLimits;
use protocol::mcp::catalog::Catalog;
use protocol::mcp::era::Version;
use runtime::activity::Preview;
use runtime::keys::Key;
use runtime::secret::{SecretSet, SessionKey};

use super::*;
use crate::access::{CodeStore, CodesFile};
use crate::config::{BalanceConfig, EjectionPolicy, RetryPolicy, SlaveMode, ToolConflict};
use crate::dispatch::directory::Directory;
use crate::dispatch::policies::Policies;
use crate::dispatch::pool::PoolSettings;
use crate::fleet::Fleet;
use crate::limits::table::RateLimits;
use crate::links::{CatalogAccounts, Registry, Slave};
use crate::start_window::StartWindow;

/// A dispatcher without a policy whose only slave offers the tool `t`.
fn dispatcher() -> Dispatcher {
    let hello = SlaveHello {
        name: PROTOCOL_NAME.into(),
        instance: format!("{:016x}", 1),
        slave_name: "s".into(),
        window: 65_536,
        ..SlaveHello::default()
    };
    let catalog = Catalog::decode(br#"{"tools":[{"name":"t"}]}"#).unwrap();
    let slave = Slave::for_test(&hello, 1, LinkLimits::default(), catalog);
    let ejection = EjectionPolicy { after: 5, base: Duration::from_secs(10) };
    let policies = Policies {
        conflict: ToolConflict::Namespace,
        ejection,
        retry: RetryPolicy::Idempotent,
        balance: BalanceConfig::for_test(),
    };
    let codes = CodeStore::new(SecretSet::new(["list"]), None::<&CodesFile>);
    let (current, routes, limits) = (codes.current(), Routes::default(), RateLimits::default());
    let settings = PoolSettings {
        precedence: current.precedence(),
        routes: &routes,
        policies: &policies,
        limits: &limits,
        policy: None,
    };
    let (directory, _) = Directory::build(&[slave], &settings, &Directory::default());
    let fleet = Fleet::new(InstanceId(1), &[SessionKey::derive("a")]).unwrap();
    let catalogs = CatalogAccounts::new(1 << 20, 64);
    let registry = Registry::new(fleet, SlaveMode::Multi, 9, LinkLimits::default(), ejection, catalogs);
    let now = Instant::now();
    let forwarder = Forwarder::new(registry, InstanceId(1), StartWindow::begin(now, Duration::ZERO, 1));
    forwarder.directory.store(Arc::new(directory));
    let times = CallTimes { silence: Duration::from_mins(1), total: Duration::from_mins(1) };
    let settings = ActiveSettings::new(policies, codes, None);
    Dispatcher::new(forwarder, settings, times, Activity::new("slave", Preview::No))
}

/// Returns how often a call allocates until it is on its way, with this key.
fn allocations(dispatcher: &Dispatcher, key: Option<Key>) -> u64 {
    let headers = HeaderMap::new();
    let credential = Credential { key: key.map(Arc::new), token: None, certificate: None };
    // The principal is the same, so that only what is asked of the key differs.
    let context = CallContext { credential: &credential, ..CallContext::anonymous(&headers) };
    let call = || {
        let mut header = CallHeader::new("tools/call", Version::NEWEST.era(), Version::NEWEST);
        (header.kind, header.name) = (Some(Kind::Tool), Some("t".to_owned()));
        let message = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
        let mut stream = None;
        let counted = measure(|| stream = Some(dispatcher.call(header, message, context))).count_total;
        let mut stream = stream.unwrap();
        assert_eq!(stream.next().now_or_never(), None, "the call is under way");
        counted
    };
    // The first calls make what later ones share.
    (0..8).map(|_| call()).min().unwrap()
}

#[tokio::test]
async fn without_a_policy_nobody_asks_who_the_holder_of_a_key_is() {
    let dispatcher = dispatcher();
    let anonymous = allocations(&dispatcher, None);
    assert!(anonymous > 0, "calls are counted");
    assert_eq!(allocations(&dispatcher, Some(Key::of("hush"))), anonymous);
    assert!(allocations(&dispatcher, Some(Key::of("hush").named("ci"))) > anonymous, "slaves learn its name");
}
