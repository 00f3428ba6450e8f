//! The authorization endpoint: checks a client's request and shows the sign-in. Must not know how users sign in.

use bytes::Bytes;
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::asked::Asked;
use crate::client::Client;
use crate::fault::Fault;
use crate::form::Parameters;
use crate::grant::Subject;
use crate::metrics::{Endpoint, record_refusal};
use crate::pages::{self, LoginError, Signed};
use crate::redirect;
use crate::reply;
use crate::request::BrokerRequest;
use crate::seal::Purpose;
use crate::server::Broker;

/// How long a user may take for the sign-in and for the decision each, in seconds.
pub(crate) const FLOW_LIFETIME: u64 = 600;
/// Longest `state`, in bytes.
const MAX_STATE: usize = 4096;

/// A step of a sign-in, which one browser may take.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Flow {
    #[serde(rename = "a")]
    pub(crate) asked: Asked,
    #[serde(rename = "b")]
    pub(crate) browser: String,
    /// The user, once signed in.
    #[serde(rename = "u")]
    pub(crate) subject: Option<Subject>,
    #[serde(rename = "x")]
    pub(crate) expires: u64,
}

/// Why a request is not followed.
enum Refused {
    /// Nothing is known of where to send the browser: the user is told.
    Page(Fault),
    /// The client is told.
    Redirect { uri: String, state: Option<String>, fault: Fault },
}

impl Broker {
    /// `GET /oauth/authorize`.
    pub(crate) async fn authorize(&self, request: &BrokerRequest) -> Response<Bytes> {
        let asked = match self.check(request.query().as_bytes(), request.now).await {
            Ok(asked) => asked,
            Err(Refused::Page(fault)) => {
                record_refusal(Endpoint::Authorize, fault.code);
                return pages::fault(StatusCode::BAD_REQUEST, fault.words);
            }
            Err(Refused::Redirect { uri, state, fault }) => {
                record_refusal(Endpoint::Authorize, fault.code);
                let parameters = [("error", fault.code), ("error_description", fault.words)];
                return self.send_back(&uri, state.as_deref(), &parameters);
            }
        };
        let Some(browser) = self.browser(request) else { return pages::broken() };
        let expires = request.now.saturating_add(FLOW_LIFETIME);
        let flow = Flow { asked, browser: browser.id, subject: None, expires };
        let Some(text) = self.vault.seal(Purpose::Flow, &flow) else { return pages::broken() };
        let page = match &self.settings.provider {
            None => pages::login(StatusCode::OK, &flow.asked, &text, LoginError::None),
            Some(provider) => pages::consent(&flow.asked, Signed::Later(provider.issuer()), &text),
        };
        match browser.cookie {
            None => page,
            Some(cookie) => reply::set_cookie(page, &cookie),
        }
    }

    async fn check(&self, query: &[u8], now: u64) -> Result<Asked, Refused> {
        let parameters = Parameters::parse(query).map_err(Refused::Page)?;
        let id = parameters
            .get("client_id")
            .ok_or(Refused::Page(Fault::request("the request names no client")))?;
        let client = self.client(id, now).await.map_err(|words| Refused::Page(Fault::client(words)))?;
        let redirect = redirect_of(&client, parameters.get("redirect_uri"))?;
        let state = parameters.get("state").map(str::to_owned);
        let checked = self.checked(&parameters, client, redirect.clone());
        let state_of_refusal = state.clone().filter(|state| state.len() <= MAX_STATE);
        let asked =
            checked.map_err(|fault| Refused::Redirect { uri: redirect, state: state_of_refusal, fault })?;
        Ok(Asked { state, ..asked })
    }

    /// Checks what is reported to the client.
    fn checked(&self, parameters: &Parameters, client: Client, redirect: String) -> Result<Asked, Fault> {
        if parameters.get("state").is_some_and(|state| state.len() > MAX_STATE) {
            return Err(Fault::request("state is too long"));
        }
        if parameters.get("request").is_some() || parameters.get("request_uri").is_some() {
            return Err(Fault::new("request_not_supported", "request objects are not supported"));
        }
        match parameters.get("response_type") {
            Some("code") => {}
            None => return Err(Fault::request("response_type is missing")),
            Some(_) => return Err(Fault::new("unsupported_response_type", "response_type is not code")),
        }
        if parameters.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(Fault::request("response_mode is not query"));
        }
        let challenge =
            parameters.get("code_challenge").ok_or(Fault::request("code_challenge is missing"))?;
        if parameters.get("code_challenge_method") != Some("S256") {
            return Err(Fault::request("code_challenge_method is not S256"));
        }
        if challenge.len() != 43
            || !challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            return Err(Fault::request("code_challenge is no SHA-256 digest in base64url"));
        }
        self.check_resource(parameters)?;
        let scopes = self.scopes_of(parameters.get("scope"))?;
        if parameters.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == "none")) {
            return Err(Fault::new("interaction_required", "the user is asked each time"));
        }
        Ok(Asked {
            client: client.digest,
            name: client.metadata.name,
            redirect,
            state: None,
            challenge: challenge.to_owned(),
            scopes,
            refresh: client.metadata.refresh,
        })
    }

    /// Refuses a `resource` that is not this server (RFC 8707).
    pub(crate) fn check_resource(&self, parameters: &Parameters) -> Result<(), Fault> {
        match parameters.get("resource") {
            Some(resource) if !self.settings.url.is_named_by(resource) => {
                Err(Fault::new("invalid_target", "resource is not this server"))
            }
            _ => Ok(()),
        }
    }

    /// Returns the scopes that a request asks for; the default ones where it names none. `offline_access` and `openid` are no scopes of this server, but
    /// clients add them on their own.
    fn scopes_of(&self, text: Option<&str>) -> Result<Vec<String>, Fault> {
        let mut scopes: Vec<String> = Vec::new();
        for name in text.unwrap_or_default().split(' ').filter(|name| !name.is_empty()) {
            if matches!(name, "offline_access" | "openid") {
                continue;
            }
            if !self.settings.scopes.iter().any(|known| known == name) {
                return Err(Fault::new("invalid_scope", "a scope is unknown"));
            }
            if !scopes.iter().any(|known| known == name) {
                scopes.push(name.to_owned());
            }
        }
        Ok(if scopes.is_empty() { self.settings.default_scopes.clone() } else { scopes })
    }

    /// Sends a browser back to the client, with the issuer (RFC 9207).
    pub(crate) fn send_back(
        &self,
        uri: &str,
        state: Option<&str>,
        parameters: &[(&str, &str)],
    ) -> Response<Bytes> {
        let mut all = parameters.to_vec();
        all.extend(state.map(|state| ("state", state)));
        all.push(("iss", self.settings.url.issuer()));
        reply::redirect(&redirect::with_parameters(uri, &all))
    }
}

/// Returns the redirect URI of a request: one that the client registered, letter by letter.
fn redirect_of(client: &Client, named: Option<&str>) -> Result<String, Refused> {
    let registered = &client.metadata.redirects;
    let refused = |words| Refused::Page(Fault::new("invalid_redirect_uri", words));
    match named {
        Some(uri) if registered.iter().any(|known| redirect::matches(known, uri)) => Ok(uri.to_owned()),
        Some(_) => Err(refused("the redirect URI of the request is not one of the client's")),
        None => match registered.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(refused("the request names no redirect URI")),
        },
    }
}
