//! Users of an identity provider: the way there and back, and false answers.

use std::convert::Infallible;
use std::net::SocketAddr;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::*;
use crate::{Provider, ProviderSettings};

const CLIENT_ID: &str = "relay at the provider";
const SECRET: &str = "s+e/cret";

/// A provider that answers the next redemption with these claims.
struct TestProvider {
    issuer: String,
    key: EcdsaKeyPair,
    claims: Mutex<Value>,
    /// The last redemption: credentials and form.
    redeemed: Mutex<(String, String)>,
}

impl TestProvider {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let provider = Arc::new(Self {
            issuer: format!("http://{address}"),
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            claims: Mutex::default(),
            redeemed: Mutex::default(),
        });
        let served = Arc::clone(&provider);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let provider = Arc::clone(&served);
                let service = service_fn(move |request| Arc::clone(&provider).answer(request));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        provider
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let credentials = request.headers().get("authorization").map_or("", |value| value.to_str().unwrap());
        let credentials = credentials.to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let answer = match path.as_str() {
            "/token" => {
                *self.redeemed.lock() = (credentials, String::from_utf8(body.to_vec()).unwrap());
                json!({"access_token": "x", "token_type": "Bearer", "id_token": self.token(&self.claims.lock())})
            }
            "/keys" => {
                let point = self.key.public_key().as_ref();
                let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
                json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": part(&point[1..33]), "y": part(&point[33..])}]})
            }
            path if path.starts_with("/.well-known/") => json!({
                "issuer": self.issuer, "jwks_uri": format!("{}/keys", self.issuer),
                "authorization_endpoint": format!("{}/authorize?p=1", self.issuer),
                "token_endpoint": format!("{}/token", self.issuer),
            }),
            _ => Value::Null,
        };
        Ok(Response::new(Full::from(answer.to_string())))
    }

    fn token(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message =
            format!("{}.{}", part(&json!({"alg": "ES256", "typ": "JWT", "kid": "k"})), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The claims of a good answer.
    fn good(&self, nonce: &str) -> Value {
        let now = crate::clock::unix_now();
        json!({"iss": self.issuer, "sub": "user 7", "aud": CLIENT_ID, "nonce": nonce, "iat": now, "exp": now + 300,
            "groups": ["dev"], "hd": "example.com"})
    }

    fn broker(&self) -> Broker {
        let mut broker = broker_with(UsersFile::default(), None);
        let settings = ProviderSettings {
            issuer: self.issuer.clone(),
            client_id: CLIENT_ID.into(),
            secret: Some(runtime::secret::Secret::new(SECRET)),
            require: vec![("hd".into(), "example.com".into())],
        };
        let provider = Provider::new(settings, runtime::outbound::OutboundRules::default());
        broker.settings.provider = Some(Arc::new(provider.unwrap()));
        broker
    }
}

/// A browser at the provider: its cookies, and the parameters that it brought there.
struct Away {
    cookies: String,
    asked: HashMap<String, String>,
}

async fn go(broker: &Broker, client: &str) -> Away {
    let page = get(broker, &query(client, &[]), "").await;
    assert!(page.status == 200 && page.text().contains("You sign in at"), "{}", page.text());
    let cookie = page.cookie();
    let fields = [("flow", page.flow()), ("decision", "allow".to_owned())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let sent = submit(broker, "/oauth/consent", &cookie, &fields).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    Away { cookies: format!("{cookie}; {}", sent.cookie()), asked: sent.redirect() }
}

async fn come_back(broker: &Broker, cookies: &str, fields: &[(&str, &str)]) -> Answer {
    get(broker, &format!("/oauth/callback?{}", encoded(fields)), cookies).await
}

#[tokio::test]
async fn a_user_of_the_provider_lets_a_client_in_at_any_process() {
    let provider = TestProvider::start().await;
    let brokers = [provider.broker(), provider.broker(), provider.broker()];
    let client = client(&brokers[0]).await;
    let away = go(&brokers[1], &client).await;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("code_challenge_method", "S256"),
        ("p", "1"),
        ("redirect_uri", "https://relay.example/oauth/callback"),
    ] {
        assert_eq!(away.asked[name], value);
    }
    *provider.claims.lock() = provider.good(&away.asked["nonce"]);
    let back = come_back(
        &brokers[2],
        &away.cookies,
        &[("code", "c"), ("state", &away.asked["state"]), ("iss", &provider.issuer)],
    )
    .await;
    assert_eq!(back.status, 303, "{}", back.text());
    assert!(back.header("set-cookie").contains("Max-Age=0"));
    let parameters = back.redirect();
    assert_eq!((parameters["state"].as_str(), parameters["iss"].as_str()), ("a state & more", ISSUER));
    let (credentials, form) = provider.redeemed.lock().clone();
    let pair = base64::engine::general_purpose::STANDARD.encode("relay+at+the+provider:s%2Be%2Fcret");
    assert_eq!(credentials, format!("Basic {pair}"));
    let form: HashMap<String, String> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    assert_eq!(
        (digest(&form["code_verifier"]), form["code"].as_str()),
        (away.asked["code_challenge"].clone(), "c")
    );
    let answer = post(&brokers[0], "/oauth/token", &redemption(&client, &parameters["code"]), NOW).await;
    let (access, refresh) = pair_of(&answer);
    let granted = brokers[1].verify_at(access.as_bytes(), NOW).unwrap();
    assert_eq!(
        (granted.subject.name.as_str(), granted.subject.groups.as_slice()),
        ("user 7", &["dev".to_owned()][..])
    );
    assert_eq!(refreshed(&brokers[2], &client, &refresh).await.status, 200);
    assert!(broker().verify_at(access.as_bytes(), NOW).is_none(), "where users are those of a file");
}

fn pair_of(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    pair(answer)
}

#[tokio::test]
async fn an_answer_that_is_not_to_this_request_of_this_browser_lets_nobody_in() {
    let provider = TestProvider::start().await;
    let broker = provider.broker();
    let client = client(&broker).await;
    let (away, other) = (go(&broker, &client).await, go(&broker, &client).await);
    *provider.claims.lock() = provider.good(&away.asked["nonce"]);
    let state = away.asked["state"].as_str();
    let browser_alone = away.cookies.split("; ").next().unwrap();
    let swapped = format!(
        "{}; {}",
        other.cookies.split("; ").next().unwrap(),
        away.cookies.split("; ").nth(1).unwrap()
    );
    for (cookies, state) in [
        ("", state),
        (browser_alone, state),
        (&*other.cookies, state),
        (&*swapped, state),
        (&*away.cookies, &*other.asked["state"]),
        (&*away.cookies, ""),
        (&*away.cookies, &state[..8]),
    ] {
        let back = come_back(&broker, cookies, &[("code", "c"), ("state", state)]).await;
        assert_eq!((back.status, back.header("location")), (403, ""), "{cookies} {state}");
    }
    let mixed = [("code", "c"), ("state", state), ("iss", "https://evil.example")];
    assert_eq!(come_back(&broker, &away.cookies, &mixed).await.status, 400);
    let denied = come_back(&broker, &away.cookies, &[("error", "access_denied"), ("state", state)]).await;
    assert_eq!(denied.redirect()["error"], "access_denied");
    let good = come_back(&broker, &away.cookies, &[("code", "c"), ("state", state)]).await;
    assert_eq!(good.status, 303, "none of these changed anything");
}

#[tokio::test]
async fn an_id_token_that_is_not_for_us_lets_nobody_in() {
    let provider = TestProvider::start().await;
    let broker = provider.broker();
    let client = client(&broker).await;
    let away = go(&broker, &client).await;
    for (name, value) in [
        ("nonce", json!("another")),
        ("nonce", json!(null)),
        ("iss", json!("https://evil.example")),
        ("aud", json!("another client")),
        ("azp", json!("another client")),
        ("exp", json!(1)),
        ("exp", json!(null)),
        ("iat", json!(9_999_999_999_u64)),
        ("sub", json!("")),
        ("hd", json!("evil.example")),
        ("hd", json!(null)),
    ] {
        let mut claims = provider.good(&away.asked["nonce"]);
        claims[name] = value.clone();
        *provider.claims.lock() = claims;
        let back = come_back(&broker, &away.cookies, &[("code", "c"), ("state", &away.asked["state"])]).await;
        assert_eq!((back.status, back.header("location")), (403, ""), "{name}: {value}");
    }
}
