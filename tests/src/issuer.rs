//! An issuer of access tokens: its metadata, keys and introspection over HTTP, and the keys that sign. Knows JWT and OAuth; nothing of
//! the relay.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Encodes bytes as JWTs have them.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The clock in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A key that signs tokens.
pub enum SigningKey {
    /// RS256.
    Rsa(Box<RsaKeyPair>),
    /// ES256.
    Ec(Box<EcdsaKeyPair>),
    /// `EdDSA`.
    Ed(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// Makes a key for RS256.
    pub fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    /// Makes a key for ES256.
    pub fn ec() -> Self {
        Self::Ec(Box::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()))
    }

    /// Makes a key for `EdDSA`.
    pub fn ed() -> Self {
        Self::Ed(Box::new(Ed25519KeyPair::generate().unwrap()))
    }

    /// Returns the name of the algorithm.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    /// Returns the public key as a JWK.
    pub fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                // RFC 8017, A.1.1: a sequence of modulus (257 bytes with its sign) and exponent (65537).
                let der = key.public_key().as_ref();
                assert_eq!((&der[4..9], &der[265..]), (&[2, 0x82, 1, 1, 0][..], &[2, 3, 1, 0, 1][..]));
                let (n, e) = (encode(&der[9..265]), encode([1, 0, 1]));
                json!({ "kty": "RSA", "use": "sig", "kid": id, "n": n, "e": e })
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y })
            }
            Self::Ed(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": encode(key.public_key().as_ref()) })
            }
        }
    }

    /// Signs header and claims, whatever the header says.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let bytes = message.as_bytes();
        let signature = match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), bytes, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(bytes).as_ref().to_vec(),
        };
        format!("{message}.{}", encode(signature))
    }

    /// Signs claims under an ordinary header.
    pub fn token(&self, id: &str, claims: &Value) -> String {
        self.sign(&json!({ "alg": self.algorithm(), "typ": "at+jwt", "kid": id }), claims)
    }
}

#[derive(Default)]
struct State {
    keys: Vec<Value>,
    active: HashMap<String, Value>,
    seen: Vec<String>,
    is_down: bool,
    metadata: Value,
}

/// A running issuer. Dropping it ends it.
pub struct TestIssuer {
    /// Its identifier.
    pub url: String,
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

impl Drop for TestIssuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Id and secret by which introspection is asked for.
pub const CLIENT: (&str, &str) = ("relay", "secret+of the-relay");

impl TestIssuer {
    /// Starts an issuer on a free port that publishes these keys.
    pub async fn start(keys: &[Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let url = format!("http://{address}/realms/r");
        let metadata = json!({
            "issuer": url,
            "jwks_uri": format!("http://{address}/keys"),
            "authorization_endpoint": format!("http://{address}/authorize"),
            "token_endpoint": format!("http://{address}/token"),
            "registration_endpoint": format!("http://{address}/register"),
            "code_challenge_methods_supported": ["S256"],
        });
        let state = Arc::new(Mutex::new(State { keys: keys.to_vec(), metadata, ..State::default() }));
        let served = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&served);
                let service = service_fn(move |request| answer(Arc::clone(&state), request));
                connections.spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, state, task: task.abort_handle() }
    }

    /// Replaces the published keys.
    pub fn publish(&self, keys: &[Value]) {
        self.state.lock().unwrap().keys = keys.to_vec();
    }

    /// Answers nothing but 503 from now on, or answers again.
    pub fn set_down(&self, is_down: bool) {
        self.state.lock().unwrap().is_down = is_down;
    }

    /// Replaces a member of the metadata.
    pub fn describe(&self, member: &str, value: Value) {
        self.state.lock().unwrap().metadata[member] = value;
    }

    /// Says from now on that an opaque token is active, with these claims.
    pub fn activate(&self, token: &str, claims: Value) {
        self.state.lock().unwrap().active.insert(token.to_owned(), claims);
    }

    /// Says from now on that an opaque token is not active.
    pub fn revoke(&self, token: &str) {
        self.state.lock().unwrap().active.remove(token);
    }

    /// Returns how often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.state.lock().unwrap().seen.iter().filter(|seen| *seen == path).count()
    }

    /// Returns the claims of a token that is valid for five minutes.
    pub fn claims(&self, subject: &str, audience: &str) -> Value {
        let now = now();
        json!({
            "iss": self.url, "aud": audience, "sub": subject, "exp": now + 300, "iat": now,
            "client_id": "a-client", "preferred_username": format!("name of {subject}"),
            "groups": ["dev"], "scope": "mcp other",
        })
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let authorization = request.headers().get("authorization").cloned();
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut state = state.lock().unwrap();
    state.seen.push(path.clone());
    if state.is_down {
        return Ok(reply(503, &json!({})));
    }
    Ok(match path.as_str() {
        "/realms/r/.well-known/openid-configuration" => reply(200, &state.metadata),
        "/keys" => reply(200, &json!({ "keys": state.keys })),
        "/introspect" => {
            // RFC 6749, 2.3.1: id and secret are encoded as in a form.
            let expected =
                format!("Basic {}", STANDARD.encode(format!("{}:secret%2Bof+the-relay", CLIENT.0)));
            if authorization.is_none_or(|value| value != expected.as_str()) {
                return Ok(reply(401, &json!({})));
            }
            let form = String::from_utf8_lossy(&body).into_owned();
            let token = form.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
            let claims = state.active.get(token).cloned();
            reply(
                200,
                &claims.map_or_else(
                    || json!({ "active": false }),
                    |mut claims| {
                        claims["active"] = true.into();
                        claims
                    },
                ),
            )
        }
        _ => reply(404, &json!({})),
    })
}

fn reply(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    response
}
