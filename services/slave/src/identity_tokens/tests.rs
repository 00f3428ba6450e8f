//! Tests of tokens for backends: signatures, public keys, subjects.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

use super::*;

const AUDIENCE: &str = "https://backend.example/mcp";

fn pem(algorithm: &'static rcgen::SignatureAlgorithm) -> String {
    KeyPair::generate_for(algorithm).unwrap().serialize_pem()
}

fn decoded(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// Checks a token by the published key that it names, and returns its claims.
fn verified(token: &str, public: &Value) -> Value {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decoded(header)).unwrap();
    let keys = public["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).expect("the key is published");
    assert_eq!((&header["alg"], &header["typ"]), (&key["alg"], &json!("at+jwt")));
    let x = decoded(key["x"].as_str().unwrap());
    let (algorithm, point): (&'static dyn VerificationAlgorithm, _) = match key["kty"].as_str() {
        Some("OKP") => (&ED25519, x),
        _ => (&ECDSA_P256_SHA256_FIXED, [vec![4], x, decoded(key["y"].as_str().unwrap())].concat()),
    };
    UnparsedPublicKey::new(algorithm, point).verify(message.as_bytes(), &decoded(signature)).unwrap();
    serde_json::from_slice(&decoded(claims)).unwrap()
}

#[test]
fn tokens_of_both_kinds_of_keys_verify_by_what_is_published() {
    let (ed, p256) = (pem(&PKCS_ED25519), pem(&PKCS_ECDSA_P256_SHA256));
    for (file, algorithm) in [(format!("{ed}{p256}"), "EdDSA"), (format!("{p256}{ed}"), "ES256")] {
        let tokens =
            IdentityTokens::new("https://slave.example", SigningKeys::read(file.as_bytes()).unwrap());
        let public = tokens.public_keys();
        assert_eq!(public["keys"].as_array().unwrap().len(), 2);
        assert_eq!(public["keys"][0]["alg"], algorithm);
        assert!(!public.to_string().contains("\"d\""), "no private member");
        let client = Identity {
            issuer: Some("https://id.example".into()),
            subject: "7".into(),
            name: Some("Ada".into()),
            groups: vec!["dev".into()],
            ..Identity::default()
        };
        let claims = verified(&tokens.sign(AUDIENCE, Some(&client)).unwrap(), &public);
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://slave.example"), &json!(AUDIENCE)));
        assert_eq!(claims["sub"], "token:https://id.example 7");
        assert_eq!((&claims["groups"], &claims["preferred_username"]), (&json!(["dev"]), &json!("Ada")));
        assert_eq!(claims[IDENTITY_CLAIM], json!(client));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
        let again = verified(&tokens.sign(AUDIENCE, Some(&client)).unwrap(), &public);
        assert_ne!(claims["jti"], again["jti"]);
        assert_eq!(verified(&tokens.sign(AUDIENCE, None).unwrap(), &public)["sub"], "anonymous");
    }
}

#[test]
fn no_two_clients_have_one_subject() {
    let key = |name: &str| Identity { subject: name.into(), ..Identity::default() };
    let token = |issuer: &str, subject: &str| Identity { issuer: Some(issuer.into()), ..key(subject) };
    let clients = [
        None,
        Some(key("anonymous")),
        Some(key("7")),
        Some(token("https://a", "7")),
        Some(token("https://b", "7")),
        Identity::of_certificate(&["7".to_owned()]),
    ];
    let subjects: Vec<String> = clients.iter().map(|client| subject(client.as_ref())).collect();
    let distinct: std::collections::BTreeSet<&String> = subjects.iter().collect();
    assert_eq!(distinct.len(), clients.len(), "{subjects:?}");
}

#[test]
fn a_key_s_id_is_its_thumbprint() {
    // RFC 8037, A.1 and A.3, in the form of RFC 8410.
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(decoded("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"));
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let file = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let keys = SigningKeys::read(file.as_bytes()).unwrap();
    assert_eq!(keys.signing().id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(keys.public()[0]["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert!(!format!("{keys:?}").contains("nWGxne"));
}

#[test]
fn files_without_a_key_that_signs_are_refused_without_a_word_of_them() {
    let other = pem(&PKCS_ECDSA_P384_SHA384);
    for (file, expected) in [
        (String::new(), KeyFileError::None),
        ("hush".to_owned(), KeyFileError::None),
        ("-----BEGIN PRIVATE KEY-----\nhush!\n-----END PRIVATE KEY-----\n".to_owned(), KeyFileError::None),
        (other, KeyFileError::Kind),
        (pem(&PKCS_ED25519).repeat(9), KeyFileError::TooMany),
    ] {
        let error = SigningKeys::read(file.as_bytes()).unwrap_err();
        assert_eq!(error, expected, "{file}");
        assert!(!error.to_string().contains("hush"));
    }
}
