//! The decision of a user who signed in: a code for the client, or a refusal. Must not know how users sign in.

use bytes::Bytes;
use hyper::{Response, StatusCode};

use crate::asked::Asked;
use crate::grant::{Code, Grant, Subject, random_id, random_text};
use crate::metrics::record_decision;
use crate::pages;
use crate::request::BrokerRequest;
use crate::seal::Purpose;
use crate::server::Broker;

/// How long a code is valid, in seconds.
pub(crate) const CODE_LIFETIME: u64 = 60;

impl Broker {
    /// `POST /oauth/consent`.
    pub(crate) async fn consent(&self, request: &BrokerRequest) -> Response<Bytes> {
        let (flow, parameters) = match self.step(request) {
            Ok(step) => step,
            Err(page) => return *page,
        };
        let subject = flow.subject.as_ref().and_then(|subject| self.users.present(subject));
        if subject.is_none() && self.settings.provider.is_none() {
            return pages::fault(StatusCode::FORBIDDEN, "nobody is signed in: begin again in the client");
        }
        let asked = &flow.asked;
        let state = asked.state.as_deref();
        match (parameters.get("decision"), &self.settings.provider, subject) {
            (Some("allow"), Some(provider), _) => {
                record_decision(true);
                self.redirect_to_provider(provider, flow, request.now).await
            }
            (Some("allow"), None, Some(user)) => {
                record_decision(true);
                let scopes = asked.scopes.join(" ");
                tracing::info!(user = user.name, client = asked.name, scopes, "A user let a client in");
                let Some(code) = self.code(asked, user, request.now) else { return pages::broken() };
                self.send_back(&asked.redirect, state, &[("code", &code)])
            }
            (Some("deny"), ..) => {
                record_decision(false);
                let parameters = [("error", "access_denied"), ("error_description", "the user refused")];
                self.send_back(&asked.redirect, state, &parameters)
            }
            _ => pages::fault(StatusCode::BAD_REQUEST, "the form has no decision"),
        }
    }

    /// Returns a code; `None` only if the system has no random numbers.
    pub(crate) fn code(&self, asked: &Asked, subject: Subject, now: u64) -> Option<String> {
        let grant = Grant {
            family: random_text()?,
            client: asked.client.clone(),
            subject,
            scopes: asked.scopes.clone(),
            resource: self.settings.url.resource().to_owned(),
            ends: now.saturating_add(self.settings.refresh_ttl.as_secs()),
        };
        let code = Code {
            id: random_id()?,
            grant,
            redirect: asked.redirect.clone(),
            challenge: asked.challenge.clone(),
            refresh: asked.refresh,
            expires: now.saturating_add(CODE_LIFETIME),
        };
        self.vault.seal(Purpose::Code, &code)
    }
}
