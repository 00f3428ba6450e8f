//! Which tokens are accepted: a table of what is wrong with those that are not.

use aws_lc_rs::hmac;
use harness::issuer::{SigningKey, TestIssuer, encode, now};
use serde_json::{Value, json};

use super::{Issuers, RESOURCE, show};

/// The claims with another value of one; null removes it.
fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    if claims[name].is_null() {
        claims.as_object_mut().unwrap().remove(name);
    }
    claims
}

/// Tokens of which signature, header or form is wrong.
fn bad_forms(rsa: &SigningKey, ec: &SigningKey, good: &Value) -> Vec<(&'static str, String)> {
    let other = SigningKey::ec();
    let token = ec.token("e", good);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "e" });
    let head = |name: &str, value: Value| ec.sign(&with(&header, name, value), good);
    let keyed = format!(
        "{}.{}",
        encode(json!({ "alg": "HS256", "typ": "at+jwt", "kid": "r" }).to_string()),
        encode(good.to_string())
    );
    let shared = hmac::Key::new(hmac::HMAC_SHA256, rsa.jwk("r").to_string().as_bytes());
    vec![
        ("no signature", format!("{message}.")),
        ("alg none", format!("{}.{}.", encode(r#"{"alg":"none","typ":"at+jwt"}"#), encode(good.to_string()))),
        ("the public key as a secret", format!("{keyed}.{}", encode(hmac::sign(&shared, keyed.as_bytes())))),
        ("a key of nobody", other.token("e", good)),
        ("an unknown key", ec.token("f", good)),
        ("another's key", rsa.token("e", good)),
        ("another algorithm than the key's", head("alg", json!("RS256"))),
        ("no algorithm", head("alg", Value::Null)),
        (
            "a key in the header",
            other.sign(&with(&with(&header, "jwk", other.jwk("e")), "kid", Value::Null), good),
        ),
        ("crit", head("crit", json!(["exp"]))),
        ("encrypted", head("enc", json!("A256GCM"))),
        ("an ID token's typ", head("typ", json!("JWT"))),
        ("no typ", head("typ", Value::Null)),
        ("typ none", head("typ", json!("none"))),
        ("no object", ec.token("e", &json!([good.clone()]))),
        ("four parts", format!("{token}.{signature}")),
        ("padding", format!("{token}==")),
        ("a changed claim", token.replacen('.', ".A", 1)),
        ("opaque", "b3BhcXVl".to_owned()),
        ("nothing", String::new()),
        ("two words", format!("{token} {token}")),
    ]
}

/// Tokens with one claim that is wrong.
fn bad_claims(ec: &SigningKey, good: &Value, issuer: &str) -> Vec<(&'static str, String)> {
    let claim = |name: &str, value: Value| ec.token("e", &with(good, name, value));
    vec![
        ("other audience", claim("aud", json!("https://other.example/mcp"))),
        ("audience that begins the same", claim("aud", json!(format!("{RESOURCE}2")))),
        ("no audience", claim("aud", Value::Null)),
        ("audience of no text", claim("aud", json!({ RESOURCE: true }))),
        ("other issuer", claim("iss", json!("https://evil.example"))),
        ("issuer with a slash", claim("iss", json!(format!("{}/", issuer)))),
        ("issuers", claim("iss", json!([issuer]))),
        ("no issuer", claim("iss", Value::Null)),
        ("expired", claim("exp", json!(now() - 6))),
        ("no expiry", claim("exp", Value::Null)),
        ("expiry of text", claim("exp", json!("never"))),
        ("expiry below zero", claim("exp", json!(-1))),
        ("not valid yet", claim("nbf", json!(now() + 60))),
        ("issued in the future", claim("iat", json!(now() + 60))),
        ("no subject", claim("sub", Value::Null)),
        ("empty subject", claim("sub", json!(""))),
        ("subject of a number", claim("sub", json!(7))),
        ("groups of numbers", claim("groups", json!([1]))),
        ("another client", claim("client_id", json!("b"))),
        ("oversized", claim("x", json!("x".repeat(13_000)))),
    ]
}

#[tokio::test]
async fn tokens_of_each_algorithm_are_accepted_and_those_with_a_fault_are_not() {
    let (rsa, ec, ed) = (SigningKey::rsa(), SigningKey::ec(), SigningKey::ed());
    let issuer = TestIssuer::start(&[rsa.jwk("r"), ec.jwk("e"), ed.jwk("d")]).await;
    let issuers = Issuers::of(&issuer, &["scopes: [mcp]", "leeway: 5", "require: {client_id: [a-client]}"]);
    let proxy = issuers.setup().start_proxy().await;
    let good = issuer.claims("ada", RESOURCE);
    for token in [
        rsa.token("r", &good),
        ec.token("e", &good),
        ed.token("d", &good),
        ec.token("e", &with(&good, "aud", json!(["https://other.example", RESOURCE]))),
        ec.token("e", &with(&good, "aud", json!(format!("{RESOURCE}/")))),
        ec.token("e", &with(&good, "exp", json!(now() as f64 + 300.5))),
        ec.token("e", &with(&good, "scope", json!(["mcp"]))),
        ec.sign(&json!({ "alg": "ES256", "typ": "application/AT+JWT" }), &good),
        ed.sign(&json!({ "alg": "Ed25519", "typ": "at+jwt", "kid": "d" }), &good),
    ] {
        assert_eq!(show(proxy.http, &token).await.0, 200, "{token}");
    }
    let claim = |name: &str, value: Value| ec.token("e", &with(&good, name, value));
    let bad = [bad_forms(&rsa, &ec, &good), bad_claims(&ec, &good, &issuer.url)].concat();
    for (what, token) in bad {
        let (status, kind, challenge) = show(proxy.http, &token).await;
        assert_eq!((status, kind.as_str()), (401, "unauthorized"), "{what}");
        assert!(challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
        assert!(challenge.contains("resource_metadata=\"https://relay.example/"), "{what}: {challenge}");
    }
    // Beside what is needed, what the token has: the next one shall not have less.
    for (scope, challenged) in [
        (json!("other"), "other mcp"),
        (json!(""), "mcp"),
        (Value::Null, "mcp"),
        (json!("mcp2"), "mcp2 mcp"),
        (json!(["MCP"]), "MCP mcp"),
    ] {
        let (status, kind, challenge) = show(proxy.http, &claim("scope", scope.clone())).await;
        assert_eq!((status, kind.as_str()), (403, "insufficient_scope"), "{scope}");
        assert!(
            challenge.contains("insufficient_scope")
                && challenge.contains(&format!("scope=\"{challenged}\"")),
            "{challenge}"
        );
    }
}

#[tokio::test]
async fn an_issuer_s_own_ways_are_followed_where_its_entry_says_so() {
    let key = SigningKey::rsa();
    let issuer = TestIssuer::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, json!({ "keys": [key.jwk("k")] }).to_string()).unwrap();
    // Keycloak's defaults: JWT as type, the kind in a claim, roles in an object.
    let file = format!("jwks_file: {}", keys.display());
    let issuers = Issuers::of(
        &issuer,
        &[
            &file,
            "typ: [JWT]",
            "audiences: [relay]",
            "algorithms: [RS256]",
            "require: {typ: Bearer}",
            "claims: {subject: preferred_username, groups: /realm_access/roles}",
        ],
    );
    let proxy = issuers.setup().start_proxy().await;
    let mut claims = issuer.claims("ada", "relay");
    claims["typ"] = "Bearer".into();
    claims["realm_access"] = json!({ "roles": ["a", "b"] });
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "k" });
    assert_eq!(show(proxy.http, &key.sign(&header, &claims)).await.0, 200);
    assert_eq!(show(proxy.http, &key.sign(&header, &with(&claims, "typ", json!("ID")))).await.0, 401);
    assert_eq!(show(proxy.http, &key.token("k", &claims)).await.0, 401, "another type than the listed one");
    assert_eq!(show(proxy.http, &key.sign(&header, &with(&claims, "aud", json!(RESOURCE)))).await.0, 401);
    assert_eq!(issuer.asked("/keys"), 0, "nobody is asked where a file has the keys");
}
