//! The way of a user to the identity provider and back: after the decision, bound to the browser that made it. Must not know tokens.
//!
//! The way is begun once the user let the client in: a provider that signs users in without asking must not let in a client that nobody
//! saw (2026-07-28, Security Best Practices, "Confused Deputy Problem").

use bytes::Bytes;
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::authorize::{FLOW_LIFETIME, Flow};
use crate::form::Parameters;
use crate::grant::{Subject, random_text};
use crate::metrics::{SignIn, record_sign_in};
use crate::pages;
use crate::provider::{Asking, Provider};
use crate::reply;
use crate::request::BrokerRequest;
use crate::seal::Purpose;
use crate::server::Broker;

/// Longest record, in characters: browsers keep cookies of 4096 bytes.
const MAX_RECORD: usize = 3800;

/// A user who is at the provider.
#[derive(Serialize, Deserialize)]
struct Away {
    #[serde(rename = "f")]
    flow: Flow,
    #[serde(rename = "s")]
    state: String,
    #[serde(rename = "n")]
    nonce: String,
    #[serde(rename = "v")]
    verifier: String,
}

impl Away {
    fn asking<'a>(&'a self, redirect: &'a str) -> Asking<'a> {
        Asking { redirect, state: &self.state, nonce: &self.nonce, verifier: &self.verifier }
    }
}

impl Broker {
    fn callback_uri(&self) -> String {
        format!("{}/oauth/callback", self.settings.url.issuer())
    }

    /// The name of the cookie with the record of a user who is away.
    fn away_cookie(&self, state: &str) -> String {
        format!("{}-{}", self.cookie_name(), state.get(..8).unwrap_or_default())
    }

    /// Sends a user who let a client in to the provider.
    pub(crate) async fn redirect_to_provider(
        &self,
        provider: &Provider,
        flow: Flow,
        now: u64,
    ) -> Response<Bytes> {
        let random =
            || Some((random_text()?, random_text()?, format!("{}{}", random_text()?, random_text()?)));
        let Some((state, nonce, verifier)) = random() else { return pages::broken() };
        let flow = Flow { expires: now.saturating_add(FLOW_LIFETIME), ..flow };
        let away = Away { flow, state, nonce, verifier };
        let Some(record) = self.vault.seal(Purpose::Provider, &away) else { return pages::broken() };
        if record.len() > MAX_RECORD {
            return pages::fault(StatusCode::BAD_REQUEST, "the request of the client is too long");
        }
        let redirect = self.callback_uri();
        match provider.sign_in_url(&away.asking(&redirect)).await {
            Ok(url) => {
                let cookie = self.cookie(&self.away_cookie(&away.state), &record, FLOW_LIFETIME);
                reply::set_cookie(reply::redirect(&url), &cookie)
            }
            Err(words) => {
                record_sign_in(SignIn::Provider);
                pages::fault(StatusCode::BAD_GATEWAY, words)
            }
        }
    }

    /// `GET /oauth/callback`.
    pub(crate) async fn callback(&self, request: &BrokerRequest) -> Response<Bytes> {
        let Some(provider) = &self.settings.provider else { return reply::not_found() };
        let parameters = match Parameters::parse(request.query().as_bytes()) {
            Ok(parameters) => parameters,
            Err(fault) => return pages::fault(StatusCode::BAD_REQUEST, fault.words),
        };
        let Some(away) = self.away(request, &parameters) else {
            let words =
                "the sign-in took too long, or was begun in another browser: begin it again in the client";
            return pages::fault(StatusCode::FORBIDDEN, words);
        };
        let gone = self.cookie(&self.away_cookie(&away.state), "", 0);
        reply::set_cookie(self.back(provider, &parameters, &away, request.now).await, &gone)
    }

    async fn back(
        &self,
        provider: &Provider,
        parameters: &Parameters,
        away: &Away,
        now: u64,
    ) -> Response<Bytes> {
        let asked = &away.flow.asked;
        // Mix-up (RFC 9207, 2.4): an answer of another issuer is not this one's.
        if parameters.get("iss").is_some_and(|issuer| issuer != provider.issuer()) {
            return pages::fault(StatusCode::BAD_REQUEST, "the answer is of another identity provider");
        }
        let Some(code) = parameters.get("code") else {
            let denied = [("error", "access_denied"), ("error_description", "the user was not signed in")];
            return self.send_back(&asked.redirect, asked.state.as_deref(), &denied);
        };
        let redirect = self.callback_uri();
        let identity = match provider.who(code, &away.asking(&redirect)).await {
            Ok(identity) => identity,
            Err(words) => {
                record_sign_in(SignIn::Provider);
                return pages::fault(StatusCode::FORBIDDEN, words);
            }
        };
        record_sign_in(SignIn::Done);
        let subject =
            Subject { name: identity.subject, groups: identity.groups, stamp: String::new(), outside: true };
        let Some(code) = self.code(asked, subject, now) else { return pages::broken() };
        tracing::info!(
            client = asked.name,
            scopes = asked.scopes.join(" "),
            "A user of the identity provider let a client in"
        );
        self.send_back(&asked.redirect, asked.state.as_deref(), &[("code", &code)])
    }

    /// Returns the record of the user who comes back, from the cookie of their browser.
    fn away(&self, request: &BrokerRequest, parameters: &Parameters) -> Option<Away> {
        let state = parameters.get("state")?;
        let name = self.away_cookie(state);
        let mut records =
            request.cookies(&name).filter_map(|text| self.vault.open::<Away>(Purpose::Provider, text));
        let away = records.find(|away| bool::from(away.state.as_bytes().ct_eq(state.as_bytes())))?;
        let is_same = self.known_browser(request).is_some_and(|id| id == away.flow.browser);
        (is_same && away.flow.expires > request.now).then_some(away)
    }
}
