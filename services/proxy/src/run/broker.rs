//! The OAuth broker on the clients' port. Must not know how it works.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::{HeaderValue, Request, Response};
use broker::{Access, Broker, BrokerRequest, MAX_BODY, RevokedGrant, RotatedGrant};
use bytes::Bytes;
use front::{AccessToken, Answering, Authority, Issued, TokenEnd};
use protocol::link::grant_fact::GrantId;
use protocol::link::identity::Identity;
use runtime::follow::ReloadSignal;
use runtime::secret::SessionKeys;
use tokio_util::task::AbortOnDropHandle;

use crate::config::ProxyConfig;
use crate::links::{Grants, IssuedToken, Registry};

/// Creates the broker, where it is switched on. What is revoked and issued at proxies of the fleet is told among them by the registry.
pub(super) fn start(config: &ProxyConfig, registry: &Arc<Registry>) -> Option<Arc<Broker>> {
    let read = config.broker.as_ref()?;
    let users = read.user_store();
    tracing::info!(
        issuer = read.settings.url.issuer(),
        users = users.len(),
        "OAuth broker on the clients' port"
    );
    let broker = Arc::new(Broker::new(read.settings.clone(), &config.common.session.keys, users));
    registry.set_grants(BrokerGrants(Arc::clone(&broker)));
    let (revoking, issuing) = (Arc::downgrade(registry), Arc::downgrade(registry));
    broker.on_revocation(move |revoked| {
        if let Some(registry) = revoking.upgrade() {
            let grant = |grant: &RevokedGrant| Some((GrantId::parse(&grant.family)?, grant.ends));
            registry.tell_revoked(&revoked.iter().filter_map(grant).collect());
        }
    });
    broker.on_rotation(move |rotated| {
        if let (Some(registry), Some(grant)) = (issuing.upgrade(), GrantId::parse(&rotated.family)) {
            let RotatedGrant { ends: until, generation, token, .. } = *rotated;
            registry.tell_issued(IssuedToken { grant, until, generation, token });
        }
    });
    Some(broker)
}

/// The grants of the broker, as facts of other proxies concern them.
struct BrokerGrants(Arc<Broker>);

impl Grants for BrokerGrants {
    fn is_revoked(&self, grant: GrantId) -> bool {
        self.0.is_revoked(&grant.to_string())
    }

    fn revoke(&self, grants: &BTreeMap<GrantId, u64>) {
        let grant = |(id, ends): (&GrantId, &u64)| RevokedGrant { family: id.to_string(), ends: *ends };
        self.0.take_revocations(grants.iter().map(grant).collect());
    }

    fn knows(&self, issued: &IssuedToken) -> bool {
        self.0.knows_rotation(&rotated(issued))
    }

    fn on_issued(&self, issued: &IssuedToken) {
        self.0.take_rotation(&rotated(issued));
    }
}

fn rotated(issued: &IssuedToken) -> RotatedGrant {
    let IssuedToken { grant, until, generation, token } = *issued;
    RotatedGrant { family: grant.to_string(), ends: until, generation, token }
}

/// Replaces the keys that the broker's records are sealed with.
pub(super) fn replace_keys(broker: Option<&Broker>, keys: &SessionKeys) {
    if let Some(broker) = broker {
        broker.replace_keys(keys);
    }
}

/// Follows the broker's files.
pub(super) fn follow(broker: Arc<Broker>, reload: ReloadSignal) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move { broker.follow(reload).await }))
}

/// Returns the broker as the clients' port knows it.
pub(super) fn authority(broker: &Arc<Broker>) -> Arc<dyn Authority> {
    Arc::new(BrokerAuthority(Arc::clone(broker)))
}

#[derive(Debug)]
struct BrokerAuthority(Arc<Broker>);

impl Authority for BrokerAuthority {
    fn takes(&self, path: &str) -> bool {
        self.0.takes(path)
    }

    fn max_body(&self) -> usize {
        MAX_BODY
    }

    fn answer(self: Arc<Self>, request: Request<Bytes>, peer: Option<IpAddr>) -> Answering<Response<Bytes>> {
        Box::pin(async move { self.0.answer(BrokerRequest::new(request, peer)).await })
    }

    fn is_token(&self, text: &[u8]) -> bool {
        Broker::is_token(text)
    }

    fn verify(self: Arc<Self>, token: &[u8]) -> Option<Issued> {
        let access = self.0.verify(token)?;
        let identity = Identity {
            issuer: Some(self.issuer().to_owned()),
            subject: access.subject.name.clone(),
            name: None,
            groups: access.subject.groups.clone(),
            certificate: Vec::new(),
        };
        let token = AccessToken { identity, scopes: access.scopes.clone(), expires: access.expires };
        Some(Issued { token, end: Box::new(End { broker: Arc::clone(&self.0), access }) })
    }

    fn issuer(&self) -> &str {
        self.0.settings().url.issuer()
    }

    fn default_scopes(&self) -> &[String] {
        &self.0.settings().default_scopes
    }

    fn challenge(&self, error: Option<&str>, scopes: &[String]) -> HeaderValue {
        HeaderValue::try_from(self.0.challenge(error, scopes)).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

/// The end of a token of the broker.
#[derive(Debug)]
struct End {
    broker: Arc<Broker>,
    access: Access,
}

impl TokenEnd for End {
    fn wait(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.broker.ended(&self.access))
    }
}
