//! The identity provider behind the broker (`OpenID` Connect Core 1.0, the code flow with PKCE): where users are sent, and who came back. Must
//! not know clients of the broker.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use runtime::http_client::{ClientSettings, HttpClient, Protocols};
use runtime::outbound::OutboundRules;
use runtime::secret::Secret;
use runtime::tls::ClientFiles;
use runtime::tokens::{Discovered, Fetcher, IssuersFile, TokenIdentity, TokenVerifier};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use url::form_urlencoded::{Serializer, byte_serialize};

/// Longest time of an exchange with the provider.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer of the provider, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// What a broker is told of its provider.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Issuer, as its id tokens name it.
    pub issuer: String,
    /// The broker's id at the provider.
    pub client_id: String,
    /// The broker's secret at the provider; `None`: it is a public client there.
    pub secret: Option<Secret>,
    /// Claims that users must have, each with its value: without any, whoever has an account may sign in.
    pub require: Vec<(String, String)>,
}

/// An `OpenID` provider.
#[derive(Debug)]
pub struct Provider {
    settings: ProviderSettings,
    verifier: TokenVerifier,
    fetcher: Fetcher,
    client: HttpClient,
    discovered: OnceCell<Endpoints>,
}

#[derive(Clone, Debug)]
struct Endpoints {
    authorization: String,
    token: String,
}

/// What binds an answer of the provider to the request that it answers.
pub(crate) struct Asking<'a> {
    pub(crate) redirect: &'a str,
    pub(crate) state: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) verifier: &'a str,
}

/// Why nobody came back, in words that quote nothing.
type Refused = &'static str;

impl Provider {
    /// Reads the system's roots; asks nobody. The provider is reached by `ways`. Blocks the thread.
    ///
    /// # Errors
    /// The roots cannot be read, or the settings are none of an issuer.
    pub fn new(settings: ProviderSettings, ways: OutboundRules) -> Result<Self, String> {
        let require: serde_json::Map<String, Value> =
            settings.require.iter().map(|(claim, value)| (claim.clone(), json!([value]))).collect();
        let mut entry =
            json!({"issuer": settings.issuer, "audiences": [settings.client_id], "typ": ["JWT", "none"]});
        if !require.is_empty() {
            entry["require"] = require.into();
        }
        // JSON is YAML.
        let file = IssuersFile::from_bytes(json!({"issuers": [entry]}).to_string().as_bytes());
        let file = file.map_err(|error| error.to_string())?;
        let extra_roots = ways.extra_roots().map(Path::to_owned);
        let files = ClientFiles { extra_roots, ..ClientFiles::default() };
        let tls = files.load().map_err(|error| error.to_string())?;
        let client = HttpClient::new(ClientSettings {
            tls: Some(tls),
            roots: "SSL_CERT_FILE",
            identity: None,
            protocols: Protocols::Both,
            ways: ways.clone(),
        });
        let verifier = TokenVerifier::new(&settings.client_id, &file, ways.clone());
        let fetcher = Fetcher::new(None, ways);
        Ok(Self { settings, verifier, fetcher, client, discovered: OnceCell::new() })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The metadata, fetched once they are needed and kept; a failure is not kept.
    async fn endpoints(&self) -> Result<&Endpoints, Refused> {
        let discover = async || {
            let found = Discovered::fetch(&self.fetcher, &self.settings.issuer).await;
            let found = found.map_err(|why| {
                tracing::error!(
                    "The metadata of BROKER_ISSUER cannot be used: {}",
                    runtime::printable::line(&why)
                );
                "the identity provider does not answer"
            })?;
            let of = |endpoint: Option<String>| endpoint.ok_or("the identity provider has no endpoints");
            Ok(Endpoints {
                authorization: of(found.authorization_endpoint)?,
                token: of(found.token_endpoint)?,
            })
        };
        self.discovered.get_or_try_init(discover).await
    }

    /// Returns where a user is sent to sign in.
    ///
    /// # Errors
    /// The provider does not answer.
    pub(crate) async fn sign_in_url(&self, asking: &Asking<'_>) -> Result<String, Refused> {
        let endpoints = self.endpoints().await?;
        let parameters = [
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", asking.redirect),
            ("scope", "openid profile email"),
            ("state", asking.state),
            ("nonce", asking.nonce),
            ("code_challenge", &crate::grant::digest(asking.verifier)),
            ("code_challenge_method", "S256"),
        ];
        Ok(crate::redirect::with_parameters(&endpoints.authorization, &parameters))
    }

    /// Redeems a code of the provider and returns who signed in. Cancel safe.
    ///
    /// # Errors
    /// The provider does not answer, or its id token is not valid for this request.
    pub(crate) async fn who(&self, code: &str, asking: &Asking<'_>) -> Result<TokenIdentity, Refused> {
        let refused = "the identity provider did not say who signed in";
        let answer = tokio::time::timeout(TIMEOUT, self.redeem(code, asking)).await;
        let answer = answer.map_err(|_| "the identity provider does not answer")??;
        let token = answer["id_token"].as_str().ok_or(refused)?;
        let verified = self.verifier.verify(token.as_bytes()).await.map_err(|error| {
            tracing::warn!("An id token of BROKER_ISSUER is not accepted: {error}");
            "the identity provider's word on the user is not accepted"
        })?;
        let claims = claims_of(token).ok_or(refused)?;
        let is_ours = claims["nonce"] == asking.nonce
            && claims.get("azp").is_none_or(|party| *party == self.settings.client_id);
        if !is_ours {
            return Err("the identity provider answered another request");
        }
        Ok(verified.identity().clone())
    }

    fn form(&self, code: &str, asking: &Asking<'_>) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code").append_pair("code", code);
        form.append_pair("redirect_uri", asking.redirect).append_pair("code_verifier", asking.verifier);
        if self.settings.secret.is_none() {
            form.append_pair("client_id", &self.settings.client_id);
        }
        form.finish()
    }

    async fn redeem(&self, code: &str, asking: &Asking<'_>) -> Result<Value, Refused> {
        let refused = "the identity provider does not answer";
        let endpoints = self.endpoints().await?;
        let mut request = Request::post(endpoints.token.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(secret) = &self.settings.secret {
            // RFC 6749, 2.3.1: both parts are form-encoded first.
            let part = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", part(&self.settings.client_id), part(secret.expose()));
            request = request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
        }
        let request = request.body(Full::<Bytes>::from(self.form(code, asking))).map_err(|_| refused)?;
        let response = self.client.send(request).await.map_err(|error| {
            tracing::error!("BROKER_ISSUER does not answer: {error}");
            refused
        })?;
        let status = response.status();
        let body =
            Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|_| refused)?.to_bytes();
        if status != hyper::StatusCode::OK {
            tracing::warn!(status = status.as_u16(), "BROKER_ISSUER did not redeem a code");
            return Err("the identity provider did not say who signed in");
        }
        serde_json::from_slice(&body).map_err(|_| refused)
    }
}

/// Returns the claims of a token whose signature was checked.
fn claims_of(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}
