//! The OAuth broker on the clients' port. Must not know how it works.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderValue, Request, Response};
use broker::{Broker, BrokerRequest, MAX_BODY};
use bytes::Bytes;
use front::{AccessToken, Answering, Authority, Shown};
use protocol::link::identity::Identity;
use runtime::follow::ReloadSignal;
use tokio_util::task::AbortOnDropHandle;

use crate::config::ProxyConfig;

/// Creates the broker, where it is switched on.
pub(super) fn start(config: &ProxyConfig) -> Option<Arc<Broker>> {
    let read = config.broker.as_ref()?;
    let users = read.user_store();
    tracing::info!(
        issuer = read.settings.url.issuer(),
        users = users.len(),
        "OAuth broker on the clients' port"
    );
    Some(Arc::new(Broker::new(read.settings.clone(), &config.common.session.keys, users)))
}

/// Follows the broker's files.
pub(super) fn follow(broker: Arc<Broker>, reload: ReloadSignal) -> AbortOnDropHandle<()> {
    super::spawn(async move { broker.follow(reload).await })
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

    fn verify(&self, token: &[u8]) -> Option<AccessToken> {
        let access = self.0.verify(token)?;
        let identity = Identity {
            issuer: Some(self.0.settings().url.issuer().to_owned()),
            subject: access.subject.name,
            name: None,
            groups: access.subject.groups,
        };
        Some(AccessToken { identity, scopes: access.scopes, expires: access.expires })
    }

    fn ended(self: Arc<Self>, token: &[u8]) -> Answering<()> {
        let access = self.0.verify(token);
        Box::pin(async move {
            if let Some(access) = access {
                self.0.ended(&access).await;
            }
        })
    }

    fn challenge(&self, shown: Shown) -> HeaderValue {
        let error = match shown {
            Shown::Nothing => None,
            Shown::Credential => Some("invalid_token"),
        };
        HeaderValue::try_from(self.0.challenge(error)).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}
