//! Revocation: the endpoint (RFC 7009), and what other processes say. Must not know how a revocation reaches others.

use bytes::Bytes;
use hyper::Response;

use crate::clock::unix_now;
use crate::fault::Fault;
use crate::form::Parameters;
use crate::grant::{AccessToken, Grant, RefreshToken};
use crate::metrics::{Endpoint, Revoked, record_revocations};
use crate::reply;
use crate::request::BrokerRequest;
use crate::revocations::RevokedGrant;
use crate::seal::Purpose;
use crate::server::Broker;
use crate::token::client_of;

impl Broker {
    /// `POST /oauth/revoke`: ends the grant of a token. A token that is not valid needs no revocation.
    pub(crate) fn revoke(&self, request: &BrokerRequest) -> Response<Bytes> {
        self.revoked(request).unwrap_or_else(|fault| fault.answer(Endpoint::Revoke))
    }

    fn revoked(&self, request: &BrokerRequest) -> Result<Response<Bytes>, Fault> {
        let parameters = Parameters::of_body(request)?;
        let client = client_of(request, &parameters)?;
        let text = parameters.get("token").ok_or(Fault::request("token is missing"))?;
        if let Some(grant) = self.grant_of(text).filter(|grant| grant.ends > request.now) {
            if grant.client != client {
                return Err(Fault::grant("the token is another client's"));
            }
            self.revoke_grant(&grant, request.now, Revoked::Client);
        }
        Ok(reply::done())
    }

    /// Returns whether a grant is revoked, of which only the id is known.
    pub fn is_revoked(&self, family: &str) -> bool {
        self.revocations.contains(family)
    }

    /// Revokes grants that were revoked at another process.
    pub fn take_revocations(&self, grants: Vec<RevokedGrant>) {
        let new = self.revocations.add(grants, unix_now());
        if new > 0 {
            tracing::warn!(grants = new, why = Revoked::Elsewhere.why(), "Grants were revoked");
            record_revocations(Revoked::Elsewhere, new);
        }
    }

    /// Sets the listener for revoked grants, wherever they were revoked: it is called with those of before at once, and then with each
    /// once. Only the first listener is kept.
    pub fn on_revocation(&self, listener: impl Fn(&[RevokedGrant]) + Send + Sync + 'static) {
        self.revocations.listen(listener);
    }

    fn grant_of(&self, text: &str) -> Option<Grant> {
        let refresh = || self.vault.open::<RefreshToken>(Purpose::Refresh, text).map(|token| token.grant);
        refresh().or_else(|| self.vault.open::<AccessToken>(Purpose::Access, text).map(|token| token.grant))
    }
}
