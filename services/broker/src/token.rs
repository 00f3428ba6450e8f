//! The token endpoint: codes and refresh tokens become tokens. Must not know pages.

use bytes::Bytes;
use hyper::{Response, StatusCode};
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::consent::CODE_LIFETIME;
use crate::fault::Fault;
use crate::form::Parameters;
use crate::grant::{AccessToken, Code, Grant, RefreshToken, digest, random_id};
use crate::metrics::{Endpoint, Revoked, record_token};
use crate::reply;
use crate::request::BrokerRequest;
use crate::rotation::Position;
use crate::seal::Purpose;
use crate::server::Broker;

impl Broker {
    /// `POST /oauth/token`.
    pub(crate) fn token(&self, request: &BrokerRequest) -> Response<Bytes> {
        self.tokens(request).unwrap_or_else(|fault| fault.answer(Endpoint::Token))
    }

    fn tokens(&self, request: &BrokerRequest) -> Result<Response<Bytes>, Fault> {
        let parameters = Parameters::of_body(request)?;
        let client = client_of(request, &parameters)?;
        self.check_resource(&parameters)?;
        match parameters.get("grant_type") {
            Some("authorization_code") => self.redeem(&parameters, &client, request.now),
            Some("refresh_token") => self.refresh(&parameters, &client, request.now),
            None => Err(Fault::request("grant_type is missing")),
            Some(_) => {
                Err(Fault::new("unsupported_grant_type", "neither authorization_code nor refresh_token"))
            }
        }
    }

    /// Redeems a code. Only who proves to be its client uses it up.
    fn redeem(&self, parameters: &Parameters, client: &str, now: u64) -> Result<Response<Bytes>, Fault> {
        let refused = Fault::grant("the code is not valid, has expired, or is another client's");
        let text = parameters.get("code").ok_or(Fault::request("code is missing"))?;
        let verifier = parameters.get("code_verifier").ok_or(Fault::request("code_verifier is missing"))?;
        let code: Code = self.vault.open(Purpose::Code, text).ok_or(refused)?;
        if code.expires <= now || code.grant.client != client {
            return Err(refused);
        }
        if parameters.get("redirect_uri").is_some_and(|uri| uri != code.redirect) {
            return Err(Fault::grant("redirect_uri is not that of the code"));
        }
        if !is_verifier(verifier) || !bool::from(digest(verifier).as_bytes().ct_eq(code.challenge.as_bytes()))
        {
            return Err(Fault::grant("code_verifier does not fit the code"));
        }
        if !self.codes.take(code.id, code.expires + CODE_LIFETIME, now) {
            self.revoke_grant(&code.grant, now, Revoked::CodeReuse);
            return Err(refused);
        }
        let grant = self.present(code.grant, now)?;
        let id = random_id().ok_or(Fault::SERVER)?;
        let Ok(first) = self.rotation.begin(&grant.family, id, grant.ends) else {
            self.revoke_grant(&grant, now, Revoked::CodeReuse);
            return Err(refused);
        };
        let scopes = grant.scopes.clone();
        self.issue(&grant, scopes, code.refresh.then_some(first), now)
    }

    fn refresh(&self, parameters: &Parameters, client: &str, now: u64) -> Result<Response<Bytes>, Fault> {
        let refused = Fault::grant("the refresh token is not valid, has expired, or is another client's");
        let text = parameters.get("refresh_token").ok_or(Fault::request("refresh_token is missing"))?;
        let token: RefreshToken = self.vault.open(Purpose::Refresh, text).ok_or(refused)?;
        if token.grant.client != client {
            return Err(refused);
        }
        let scopes = narrowed(&token.grant.scopes, parameters.get("scope"))?;
        let grant = self.present(token.grant, now)?;
        let used = Position { generation: token.generation, id: token.id };
        let next = random_id().ok_or(Fault::SERVER)?;
        if let Ok(position) = self.rotation.replace(&grant.family, used, next, grant.ends) {
            self.issue(&grant, scopes, Some(position), now)
        } else {
            self.revoke_grant(&grant, now, Revoked::RefreshReuse);
            Err(refused)
        }
    }

    /// Returns a grant with what its user is now.
    fn present(&self, grant: Grant, now: u64) -> Result<Grant, Fault> {
        if grant.ends <= now
            || self.revocations.contains(&grant.family)
            || grant.resource != self.settings.url.resource()
        {
            return Err(Fault::grant("the grant was revoked or has ended"));
        }
        if grant.subject.outside != self.settings.provider.is_some() {
            return Err(Fault::grant("users sign in elsewhere now"));
        }
        let subject = self.users.present(&grant.subject);
        Ok(Grant { subject: subject.ok_or(Fault::grant("the user has changed or is gone"))?, ..grant })
    }

    /// Answers with an access token for these scopes, and a refresh token at this position.
    fn issue(
        &self,
        grant: &Grant,
        scopes: Vec<String>,
        next: Option<Position>,
        now: u64,
    ) -> Result<Response<Bytes>, Fault> {
        let is_refreshed = next.is_some_and(|position| position.generation > 0);
        let expires = now.saturating_add(self.settings.access_ttl.as_secs()).min(grant.ends);
        let scope = scopes.join(" ");
        let token = AccessToken { grant: Grant { scopes, ..grant.clone() }, expires };
        let text = self.vault.seal(Purpose::Access, &token).ok_or(Fault::SERVER)?;
        let mut answer = json!({
            "access_token": text,
            "token_type": "Bearer",
            "expires_in": expires.saturating_sub(now),
            "scope": scope,
        });
        if let Some(Position { generation, id }) = next {
            let token = RefreshToken { grant: grant.clone(), generation, id };
            answer["refresh_token"] = self.vault.seal(Purpose::Refresh, &token).ok_or(Fault::SERVER)?.into();
        }
        record_token(is_refreshed);
        Ok(reply::json(StatusCode::OK, &answer))
    }

    /// Ends everything of a grant.
    pub(crate) fn revoke_grant(&self, grant: &Grant, now: u64, reason: Revoked) {
        tracing::warn!(user = grant.subject.name, why = reason.why(), "A grant was revoked");
        self.revoke_family(&grant.family, grant.ends, now, reason);
    }
}

/// Returns the digest of the id of the client that asks. All are public: they prove themselves by the code's verifier.
pub(crate) fn client_of(request: &BrokerRequest, parameters: &Parameters) -> Result<String, Fault> {
    if request.has_authorization()
        || parameters.get("client_secret").is_some()
        || parameters.get("client_assertion").is_some()
    {
        return Err(Fault::client("clients are public here: client_id without a secret"));
    }
    parameters.get("client_id").map(digest).ok_or(Fault::client("client_id is missing"))
}

/// Returns whether a text can be a verifier (RFC 7636, 4.1).
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Returns the scopes that a refresh asks for: no more than were granted.
fn narrowed(granted: &[String], asked: Option<&str>) -> Result<Vec<String>, Fault> {
    let Some(asked) = asked else { return Ok(granted.to_vec()) };
    let mut scopes = Vec::new();
    for name in
        asked.split(' ').filter(|name| !name.is_empty() && !matches!(*name, "offline_access" | "openid"))
    {
        if !granted.iter().any(|known| known == name) {
            return Err(Fault::new("invalid_scope", "a scope was not granted"));
        }
        if !scopes.iter().any(|known| known == name) {
            scopes.push(name.to_owned());
        }
    }
    Ok(if scopes.is_empty() { granted.to_vec() } else { scopes })
}
