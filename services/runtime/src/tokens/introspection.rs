//! The issuer's word on tokens that cannot be checked here (RFC 7662), kept for a short time. Must not know signatures.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::error::TokenError;
use super::fetch::Fetcher;
use super::issuer::IntrospectionEndpoint;

/// Time for which an answer counts: a revoked token is refused this much later.
pub(super) const KEPT: Duration = Duration::from_secs(15);

/// Answers that are kept at once.
const MAX_KEPT: usize = 10_000;

/// Questions under way at once.
const MAX_ASKING: usize = 16;

/// Bytes of the file of a secret.
const MAX_SECRET: usize = 4096;

/// What the issuer says of an active token.
type Claims = Map<String, Value>;

/// An answer, and when it came: `None` says that the token is not active.
type Kept = (Instant, Option<Claims>);

/// Answers of one endpoint.
#[derive(Debug)]
pub(super) struct Introspection {
    kept: Mutex<HashMap<[u8; 32], Kept>>,
    asking: Semaphore,
}

impl Introspection {
    pub(super) fn new() -> Self {
        Self { kept: Mutex::default(), asking: Semaphore::new(MAX_ASKING) }
    }

    /// Returns the claims of a token, if it is active.
    pub(super) async fn claims(
        &self,
        endpoint: &IntrospectionEndpoint,
        fetcher: &Fetcher,
        token: &str,
    ) -> Result<Claims, TokenError> {
        let digest = Sha256::digest(token.as_bytes()).into();
        let known = |kept: &HashMap<[u8; 32], Kept>| {
            kept.get(&digest).filter(|(at, _)| at.elapsed() < KEPT).map(|(_, claims)| claims.clone())
        };
        let mut answer = known(&self.kept.lock());
        if answer.is_none() {
            let unavailable = |why: &str| {
                tracing::warn!("AUTH_ISSUERS: a token cannot be introspected: {why}");
                TokenError::Unavailable { issuer: endpoint.url.host_str().unwrap_or_default().to_owned() }
            };
            let _permit = self.asking.acquire().await.map_err(|_| unavailable("shut down"))?;
            answer = known(&self.kept.lock());
            if answer.is_none() {
                let asked = ask(endpoint, fetcher, token).await.map_err(|error| unavailable(&error))?;
                self.keep(digest, asked.clone());
                answer = Some(asked);
            }
        }
        answer.flatten().ok_or(TokenError::Invalid("the token is not active"))
    }

    fn keep(&self, digest: [u8; 32], answer: Option<Claims>) {
        let mut kept = self.kept.lock();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, (at, _)| at.elapsed() < KEPT);
        }
        if kept.len() < MAX_KEPT {
            kept.insert(digest, (Instant::now(), answer));
        }
    }
}

async fn ask(
    endpoint: &IntrospectionEndpoint,
    fetcher: &Fetcher,
    token: &str,
) -> Result<Option<Claims>, String> {
    let secret = tokio::fs::read(&endpoint.secret).await;
    let secret =
        secret.map_err(|error| format!("client_secret_file: {}", crate::io_fault::describe(&error)))?;
    let secret = secret.trim_ascii();
    if secret.is_empty() || secret.len() > MAX_SECRET {
        return Err(format!("client_secret_file: no secret of at most {MAX_SECRET} bytes"));
    }
    // RFC 6749, 2.3.1: both are encoded as in a form.
    let encode = |text: &[u8]| byte_serialize(text).collect::<String>();
    let basic = STANDARD.encode(format!("{}:{}", encode(endpoint.client.as_bytes()), encode(secret)));
    let mut authorization =
        HeaderValue::try_from(format!("Basic {basic}")).map_err(|_| "client_id cannot be sent".to_owned())?;
    authorization.set_sensitive(true);
    let form = Serializer::new(String::new())
        .append_pair("token", token)
        .append_pair("token_type_hint", "access_token")
        .finish();
    let text = fetcher.post(&endpoint.url, authorization, form).await.map_err(|error| error.to_string())?;
    let claims: Claims =
        serde_json::from_slice(&text).map_err(|_| "the answer is no JSON object".to_owned())?;
    match claims.get("active") {
        Some(Value::Bool(true)) => Ok(Some(claims)),
        Some(Value::Bool(false)) => Ok(None),
        _ => Err("the answer does not say whether the token is active".to_owned()),
    }
}
