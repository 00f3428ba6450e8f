//! Dynamic registration (RFC 7591): the client's id is its sealed metadata, so that nothing is stored. Must not know sign-ins.

use bytes::Bytes;
use hyper::{Response, StatusCode};
use serde_json::json;

use crate::client_metadata::Metadata;
use crate::fault::Fault;
use crate::metrics::{Endpoint, record_registration};
use crate::reply;
use crate::request::BrokerRequest;
use crate::seal::Purpose;
use crate::server::Broker;

impl Broker {
    /// `POST /oauth/register`.
    pub(crate) fn register(&self, request: &BrokerRequest) -> Response<Bytes> {
        self.registered(request).unwrap_or_else(|fault| fault.answer(Endpoint::Register))
    }

    fn registered(&self, request: &BrokerRequest) -> Result<Response<Bytes>, Fault> {
        let bad = |words| Fault::new("invalid_client_metadata", words);
        if !request.is_of_type("application/json") {
            return Err(bad("the body is no application/json"));
        }
        let value = serde_json::from_slice(&request.body).map_err(|_| bad("the body is no JSON"))?;
        let metadata = Metadata::read(&value, request.now)?;
        let id = self.vault.seal(Purpose::Client, &metadata).ok_or(Fault::SERVER)?;
        let grants: &[&str] =
            if metadata.refresh { &["authorization_code", "refresh_token"] } else { &["authorization_code"] };
        let mut answer = json!({
            "client_id": id,
            "client_id_issued_at": request.now,
            "redirect_uris": metadata.redirects,
            "grant_types": grants,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": self.settings.scopes.join(" "),
        });
        if !metadata.name.is_empty() {
            answer["client_name"] = metadata.name.into();
        }
        record_registration();
        Ok(reply::json(StatusCode::CREATED, &answer))
    }
}
