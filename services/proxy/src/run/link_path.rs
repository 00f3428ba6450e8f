//! The path of the clients' port at which slaves enter: joins the clients' server with the slaves' way in. Must not know how either
//! works.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::Request;
use front::server::{AfterUpgrade, Upgrade, UpgradeAnswer, Upgrades};

use crate::links::{AcceptContext, Entering, SharedPort};

/// The path of the clients' port that takes slaves.
const LINK_PATH: &str = "/link";

/// Returns the upgrades of the clients' port.
pub(super) fn upgrades(context: Arc<AcceptContext>) -> Upgrades {
    tracing::info!("Slaves are taken at {LINK_PATH} of the clients' port, too");
    Upgrades::new(LINK_PATH, Arc::new(LinkPath(SharedPort::new(context))))
}

struct LinkPath(SharedPort);

impl Upgrade for LinkPath {
    fn answer(&self, peer: IpAddr, request: &Request<()>) -> UpgradeAnswer {
        let (response, entering) = self.0.answer(peer, request);
        let then = |entering: Entering| -> AfterUpgrade {
            Box::new(move |stream, read| entering.begin(stream, &read))
        };
        UpgradeAnswer { response, then: entering.map(then) }
    }
}
