//! The broker as clients and browsers see it: whole walks, and hostile inputs at each step.

mod authorize;
mod pages;
mod provider;
mod sign_in;
mod tokens;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, Request, Response};
use runtime::secret::SessionKey;
use serde_json::{Value, json};
use url::Url;

use crate::grant::digest;
use crate::users::{OneTimeSecret, User, UserStore, UsersFile};
use crate::{Broker, BrokerRequest, BrokerSettings, PublicUrl, RevocationsFile};

const ISSUER: &str = "https://relay.example";
const RESOURCE: &str = "https://relay.example/mcp";
const CALLBACK: &str = "https://client.example/cb";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";
const NOW: u64 = 2_000_000_000;
const PASSWORD: &str = "correct horse";

static HASH: LazyLock<String> = LazyLock::new(|| crate::hash_password(PASSWORD).unwrap());

fn secret() -> OneTimeSecret {
    OneTimeSecret::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
}

fn users() -> UsersFile {
    let user = |name: &str, one_time| User {
        name: name.into(),
        password: HASH.clone(),
        one_time,
        groups: vec!["dev".into()],
    };
    UsersFile { users: vec![user("ann", None), user("bob", Some(secret()))] }
}

fn broker_with(users: UsersFile, revocations: Option<RevocationsFile>) -> Broker {
    let settings = BrokerSettings {
        url: PublicUrl::new(&Url::parse(RESOURCE).unwrap()).unwrap(),
        scopes: vec!["mcp".into(), "admin".into()],
        default_scopes: vec!["mcp".into()],
        access_ttl: Duration::from_mins(15),
        refresh_ttl: Duration::from_hours(24),
        revocations,
        documents: None,
        provider: None,
    };
    let content = users.to_text();
    let store = UserStore::new(users, "/nowhere/users".into(), content.as_bytes());
    Broker::new(settings, &SessionKey::derive("one key").into(), store)
}

/// A broker; several have the same keys, as the proxies of a fleet have.
fn broker() -> Broker {
    broker_with(users(), None)
}

/// What came back.
struct Answer {
    status: u16,
    response: Response<Bytes>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> String {
        String::from_utf8(self.response.body().to_vec()).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(self.response.body()).unwrap_or_default()
    }

    fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// The parameters of the redirect.
    fn redirect(&self) -> HashMap<String, String> {
        let url = Url::parse(self.header("location")).expect("a redirect");
        url.query_pairs().into_owned().collect()
    }

    /// The record in the page's form.
    fn flow(&self) -> String {
        let text = self.text();
        let (_, rest) = text.split_once("name=flow value=\"").expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }

    fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap().to_owned()
    }
}

async fn send(broker: &Broker, request: Request<Bytes>, now: u64) -> Answer {
    let peer = Some("192.0.2.1".parse().unwrap());
    let response = broker.answer(BrokerRequest::new(request, peer).at(now)).await;
    Answer { status: response.status().as_u16(), response }
}

async fn get(broker: &Broker, path: &str, cookie: &str) -> Answer {
    let request = Request::get(path).header("cookie", cookie).body(Bytes::new()).unwrap();
    send(broker, request, NOW).await
}

fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn form(path: &str, fields: &[(&str, &str)]) -> Request<Bytes> {
    let body = Bytes::from(encoded(fields));
    Request::post(path).header("content-type", "application/x-www-form-urlencoded").body(body).unwrap()
}

async fn post(broker: &Broker, path: &str, fields: &[(&str, &str)], now: u64) -> Answer {
    send(broker, form(path, fields), now).await
}

/// Sends a form as a browser does.
async fn submit(broker: &Broker, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
    let mut request = form(path, fields);
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    request.headers_mut().insert("origin", ISSUER.parse().unwrap());
    request.headers_mut().insert("sec-fetch-site", "same-origin".parse().unwrap());
    send(broker, request, NOW).await
}

async fn register(broker: &Broker, metadata: &Value) -> Answer {
    let body = Bytes::from(metadata.to_string());
    let request =
        Request::post("/oauth/register").header("content-type", "application/json").body(body).unwrap();
    send(broker, request, NOW).await
}

async fn client(broker: &Broker) -> String {
    let grants = ["authorization_code", "refresh_token"];
    let metadata = json!({"redirect_uris": [CALLBACK, "http://127.0.0.1/cb"], "client_name": "Tester <b>", "grant_types": grants});
    let answer = register(broker, &metadata).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["client_id"].as_str().unwrap().to_owned()
}

/// The parameters of a good request; `changes` replace some of them, the empty text removes one.
fn query(client: &str, changes: &[(&str, &str)]) -> String {
    let challenge = digest(VERIFIER);
    let good = [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("state", "a state & more"),
        ("scope", "mcp"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("resource", RESOURCE),
    ];
    let mut all: Vec<(&str, &str)> = good.to_vec();
    for change in changes {
        all.retain(|(name, _)| name != &change.0);
        if !change.1.is_empty() {
            all.push(*change);
        }
    }
    format!("/oauth/authorize?{}", encoded(&all))
}

/// Walks to the decision; each step may be another process.
async fn to_decision(broker: &Broker, client: &str, changes: &[(&str, &str)]) -> (String, String) {
    let page = get(broker, &query(client, changes), "").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let (cookie, flow) = (page.cookie(), page.flow());
    let fields = [("flow", flow.as_str()), ("username", "Ann"), ("password", PASSWORD)];
    let page = submit(broker, "/oauth/login", &cookie, &fields).await;
    assert_eq!(page.status, 200, "{}", page.text());
    (cookie, page.flow())
}

async fn code(broker: &Broker, client: &str, changes: &[(&str, &str)]) -> String {
    let (cookie, flow) = to_decision(broker, client, changes).await;
    let back = submit(broker, "/oauth/consent", &cookie, &[("flow", &flow), ("decision", "allow")]).await;
    assert_eq!(back.status, 303, "{}", back.text());
    back.redirect()["code"].clone()
}

fn redemption<'a>(client: &'a str, code: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("resource", RESOURCE),
    ]
}

/// The tokens of a new grant: access and refresh.
async fn tokens(broker: &Broker, client: &str) -> (String, String) {
    let code = code(broker, client, &[]).await;
    let answer = post(broker, "/oauth/token", &redemption(client, &code), NOW).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    pair(&answer)
}

fn pair(answer: &Answer) -> (String, String) {
    let text = |name: &str| answer.json()[name].as_str().unwrap_or_default().to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn refreshed(broker: &Broker, client: &str, refresh: &str) -> Answer {
    let fields = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", refresh)];
    post(broker, "/oauth/token", &fields, NOW + 10).await
}

/// Each step at another process of the same keys, without anything that they share.
#[tokio::test]
async fn the_whole_walk_works_with_each_step_at_another_process() {
    let fleet: Vec<Broker> = (0..7).map(|_| broker()).collect();
    let metadata = get(&fleet[0], "/.well-known/oauth-authorization-server", "").await.json();
    assert_eq!(metadata["issuer"], ISSUER);
    let client = client(&fleet[0]).await;
    let page = get(&fleet[1], &query(&client, &[("scope", "")]), "").await;
    let (cookie, flow) = (page.cookie(), page.flow());
    let fields = [("flow", flow.as_str()), ("username", "ann"), ("password", PASSWORD)];
    let page = submit(&fleet[2], "/oauth/login", &cookie, &fields).await;
    let fields = [("flow", page.flow()), ("decision", "allow".to_owned())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let back = submit(&fleet[3], "/oauth/consent", &cookie, &fields).await;
    let parameters = back.redirect();
    assert!(back.header("location").starts_with(&format!("{CALLBACK}?code=")));
    assert_eq!((parameters["state"].as_str(), parameters["iss"].as_str()), ("a state & more", ISSUER));
    let answer = post(&fleet[4], "/oauth/token", &redemption(&client, &parameters["code"]), NOW).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let body = answer.json();
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["scope"]),
        (&json!("Bearer"), &json!(900), &json!("mcp"))
    );
    let (access, refresh) = pair(&answer);
    let granted = fleet[5].verify_at(access.as_bytes(), NOW + 899).unwrap();
    assert_eq!(
        (granted.subject.name.as_str(), granted.subject.groups.as_slice()),
        ("ann", &["dev".to_owned()][..])
    );
    assert!(fleet[5].verify_at(access.as_bytes(), NOW + 900).is_none(), "expired");
    let next = refreshed(&fleet[6], &client, &refresh).await;
    assert_eq!(next.status, 200);
    assert!(fleet[0].verify_at(pair(&next).0.as_bytes(), NOW + 900).is_some());
}

/// Servers move the answer's future between threads.
#[test]
fn the_future_of_an_answer_can_be_sent() {
    fn is_send(_: impl Send) {}
    let request = BrokerRequest::new(Request::new(Bytes::new()), None);
    let broker = broker();
    is_send(broker.answer(request));
}

#[tokio::test]
async fn paths_and_methods_that_are_not_the_broker_s_are_refused() {
    let broker = broker();
    for (path, taken) in [
        ("/oauth/token", true),
        ("/.well-known/oauth-authorization-server/mcp", true),
        ("/.well-known/openid-configuration", true),
        ("/.well-known/oauth-protected-resource/mcp", true),
        ("/oauth", false),
        ("/oauth/token/", false),
        ("/.well-known/oauth-authorization-serverx", false),
        ("/.well-known/oauth-authorization-server/other", false),
        ("/mcp", false),
    ] {
        assert_eq!(broker.takes(path), taken, "{path}");
    }
    for (method, path, status) in [
        (Method::GET, "/oauth/token", 405),
        (Method::GET, "/oauth/login", 405),
        (Method::POST, "/oauth/authorize", 405),
        (Method::DELETE, "/oauth/register", 405),
        (Method::OPTIONS, "/oauth/token", 204),
        (Method::OPTIONS, "/oauth/login", 405),
    ] {
        let request = Request::builder().method(method.clone()).uri(path).body(Bytes::new()).unwrap();
        assert_eq!(send(&broker, request, NOW).await.status, status, "{method} {path}");
    }
}
