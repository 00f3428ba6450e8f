//! The revocation endpoint (RFC 7009). Must not know how a revocation reaches others.

use bytes::Bytes;
use hyper::Response;

use crate::fault::Fault;
use crate::form::Parameters;
use crate::grant::{AccessToken, Grant, RefreshToken};
use crate::metrics::{Endpoint, Revoked};
use crate::reply;
use crate::request::BrokerRequest;
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

    fn grant_of(&self, text: &str) -> Option<Grant> {
        let refresh = || self.vault.open::<RefreshToken>(Purpose::Refresh, text).map(|token| token.grant);
        refresh().or_else(|| self.vault.open::<AccessToken>(Purpose::Access, text).map(|token| token.grant))
    }
}
