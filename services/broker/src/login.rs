//! The sign-in of a user of the file. Must not know what the client asks for.

use bytes::Bytes;
use hyper::{Response, StatusCode};

use crate::attempts::TooMany;
use crate::authorize::{FLOW_LIFETIME, Flow};
use crate::form::Parameters;
use crate::grant::Subject;
use crate::metrics::{SignIn, record_sign_in};
use crate::pages::{self, LoginError, Signed};
use crate::passwords::Busy;
use crate::reply;
use crate::request::BrokerRequest;
use crate::seal::Purpose;
use crate::server::Broker;
use crate::users::{STEP, User};

/// Why a user is not signed in.
enum NotSignedIn {
    /// Name, password or one-time password are wrong.
    Wrong,
    TooMany(TooMany),
    Busy,
}

impl Broker {
    /// `POST /oauth/login`.
    pub(crate) async fn login(&self, request: &BrokerRequest) -> Response<Bytes> {
        let (flow, parameters) = match self.step(request) {
            Ok(step) => step,
            Err(page) => return *page,
        };
        let user = match self.signed_in(request, &parameters).await {
            Ok(user) => user,
            Err(refused) => return self.ask_again(&flow, &parameters, &refused),
        };
        record_sign_in(SignIn::Done);
        tracing::info!(user = user.name, client = flow.asked.name, "A user signed in");
        let expires = request.now.saturating_add(FLOW_LIFETIME);
        let flow = Flow { subject: Some(Subject::from(&user)), expires, ..flow };
        let Some(text) = self.vault.seal(Purpose::Flow, &flow) else { return pages::broken() };
        pages::consent(&flow.asked, Signed::In(&user.name), &text)
    }

    /// Returns the step that a form belongs to: of this browser, from a page of ours, in time.
    pub(crate) fn step(&self, request: &BrokerRequest) -> Result<(Flow, Parameters), Box<Response<Bytes>>> {
        let refused = |words| Box::new(pages::fault(StatusCode::FORBIDDEN, words));
        if !request.is_from(self.settings.url.issuer()) {
            return Err(refused("the form was sent by another page"));
        }
        let parameters = Parameters::of_body(request)
            .map_err(|fault| Box::new(pages::fault(StatusCode::BAD_REQUEST, fault.words)))?;
        let flow: Option<Flow> = parameters.get("flow").and_then(|text| self.vault.open(Purpose::Flow, text));
        let Some(flow) = flow.filter(|flow| flow.expires > request.now) else {
            return Err(Box::new(pages::fault(
                StatusCode::BAD_REQUEST,
                "the sign-in took too long: begin it again in the client",
            )));
        };
        if self.known_browser(request).is_none_or(|id| id != flow.browser) {
            return Err(refused("the sign-in was begun in another browser, or cookies are refused"));
        }
        Ok((flow, parameters))
    }

    async fn signed_in(&self, request: &BrokerRequest, parameters: &Parameters) -> Result<User, NotSignedIn> {
        let text = |name| parameters.get(name).unwrap_or_default();
        let user = self.users.find(text("username").trim());
        let name = user.as_ref().map(|user| user.name.as_str());
        self.attempts.begin(name, request.peer, request.now).map_err(NotSignedIn::TooMany)?;
        let hash = user.as_ref().map(|user| user.password.as_str());
        let is_right =
            self.passwords.check(text("password"), hash).await.map_err(|Busy| NotSignedIn::Busy)?;
        let user = user.filter(|_| is_right).ok_or(NotSignedIn::Wrong)?;
        if let Some(secret) = &user.one_time {
            let step = secret.step_of(text("code"), request.now).ok_or(NotSignedIn::Wrong)?;
            // Valid until the step after the next one ends, whatever this clock says.
            let expires = (step + 4) * STEP;
            if !self.steps.take((user.name.clone(), step), expires, request.now) {
                return Err(NotSignedIn::Wrong);
            }
        }
        self.attempts.succeed(&user.name, request.peer);
        Ok(user)
    }

    fn ask_again(&self, flow: &Flow, parameters: &Parameters, refused: &NotSignedIn) -> Response<Bytes> {
        let Some(text) = self.vault.seal(Purpose::Flow, flow) else { return pages::broken() };
        let page = |status, error| pages::login(status, &flow.asked, &text, error);
        record_sign_in(match refused {
            NotSignedIn::Wrong => SignIn::Wrong,
            NotSignedIn::TooMany(_) => SignIn::Limited,
            NotSignedIn::Busy => SignIn::Busy,
        });
        match refused {
            NotSignedIn::Wrong => {
                let name: String = parameters.get("username").unwrap_or_default().chars().take(64).collect();
                // A text that is no name may be a password in the wrong field.
                let shown = Some(name).filter(|name| self.users.find(name).is_some());
                tracing::warn!(user = shown.as_deref().unwrap_or("unknown"), "A sign-in failed");
                page(StatusCode::FORBIDDEN, LoginError::Wrong)
            }
            NotSignedIn::TooMany(TooMany(seconds)) => {
                reply::retry_after(page(StatusCode::TOO_MANY_REQUESTS, LoginError::TooMany), *seconds)
            }
            NotSignedIn::Busy => {
                reply::retry_after(page(StatusCode::SERVICE_UNAVAILABLE, LoginError::Busy), 5)
            }
        }
    }
}
