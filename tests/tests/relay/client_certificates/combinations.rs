//! All that a client may show at once, on each way good, wrong or not at all, where it is asked for keys, for tokens, for certificates, or
//! for several of them: nothing that is shown and wrong is made up for by anything that is right.

use std::net::SocketAddr;

use harness::http::{Exchange, request};
use harness::issuer::{SigningKey, TestIssuer};
use harness::relay::Setup;
use hyper::Method;

use super::Scene;

const RESOURCE: &str = "https://relay.example/mcp";
const KEY: &str = "right-key-of-a-client";
const OTHER_KEY: &str = "other-key-of-a-client";
const HEADER: &str = "x-api-key";

/// What clients are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Asked {
    keys: bool,
    tokens: bool,
    /// `None`: for no certificates; else whether each has to show one.
    certificates: Option<bool>,
}

/// What is shown on one way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    Nothing,
    Key,
    Token,
    WrongKey,
    ExpiredToken,
    /// The name of the scheme alone, or an empty header.
    Empty,
}

impl Shown {
    const ALL: [Self; 6] =
        [Self::Nothing, Self::Key, Self::Token, Self::WrongKey, Self::ExpiredToken, Self::Empty];

    /// Whether it is good in `Authorization`, or in the header of keys.
    fn is_good(self, asked: Asked, in_authorization: bool) -> bool {
        match self {
            Self::Nothing => true,
            Self::Key => asked.keys,
            Self::Token => asked.tokens && in_authorization,
            Self::WrongKey | Self::ExpiredToken | Self::Empty => false,
        }
    }
}

/// One request.
#[derive(Clone, Copy, Debug)]
struct Request {
    bearer: Shown,
    custom: Shown,
    certificate: bool,
    /// A wrong bearer credential in a header of its own.
    second: Option<&'static str>,
}

impl Request {
    fn is_let_in(self, asked: Asked) -> bool {
        let is_good = self.bearer.is_good(asked, true) && self.custom.is_good(asked, false);
        let has_text = self.bearer != Shown::Nothing || self.custom != Shown::Nothing;
        let is_enough = match asked.certificates {
            Some(true) => self.certificate && (has_text || !(asked.keys || asked.tokens)),
            Some(false) => self.certificate || has_text,
            None => has_text,
        };
        is_good && is_enough && self.second.is_none()
    }
}

struct Credentials {
    token: String,
    expired: String,
}

impl Credentials {
    fn text(&self, shown: Shown, key: &'static str) -> Option<String> {
        match shown {
            Shown::Nothing => None,
            Shown::Key => Some(key.to_owned()),
            Shown::Token => Some(self.token.clone()),
            Shown::WrongKey => Some("wrong-key-of-a-client".to_owned()),
            Shown::ExpiredToken => Some(self.expired.clone()),
            Shown::Empty => Some(String::new()),
        }
    }

    async fn status(&self, at: SocketAddr, asking: Request) -> u16 {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        // Another's credential, which a reverse proxy may have left in front.
        headers.push(("authorization".to_owned(), "Basic b3RoZXI6".to_owned()));
        let bearer = self.text(asking.bearer, KEY);
        headers.extend(bearer.map(|text| ("authorization".to_owned(), format!("Bearer {text}"))));
        let second = asking.second.map(|text| ("authorization".to_owned(), text.to_owned()));
        headers.extend(second);
        headers.extend(self.text(asking.custom, OTHER_KEY).map(|text| (HEADER.to_owned(), text)));
        let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_vec();
        let mut exchange = Exchange::start(at, request(Method::POST, "/mcp", &headers, ping)).await;
        exchange.rest().await;
        exchange.status.as_u16()
    }
}

#[tokio::test]
async fn nothing_that_is_shown_and_wrong_is_made_up_for() {
    let signing = SigningKey::ec();
    let issuer = TestIssuer::start(&[signing.jwk("e")]).await;
    let mut expired = issuer.claims("ada", RESOURCE);
    expired["exp"] = 1.into();
    let credentials = Credentials {
        token: signing.token("e", &issuer.claims("ada", RESOURCE)),
        expired: signing.token("e", &expired),
    };
    let of = |keys, tokens, certificates| Asked { keys, tokens, certificates };
    for asked in [
        of(true, false, None),
        of(false, true, None),
        of(true, true, None),
        of(false, false, Some(false)),
        of(true, false, Some(false)),
        of(false, true, Some(false)),
        of(true, true, Some(false)),
        of(false, false, Some(true)),
        of(true, true, Some(true)),
    ] {
        let scene = Scene::new();
        let mut setup = if asked.certificates.is_some() { scene.setup() } else { Setup::proxy() };
        if asked.certificates == Some(true) {
            setup = setup.env("TLS_HTTP_CLIENT_CERT", "required");
        }
        if asked.keys {
            setup = setup.env("AUTH_BEARER_KEYS", format!("{KEY},{OTHER_KEY}"));
        }
        if asked.tokens {
            let issuers = format!("issuers:\n- issuer: {}\n", issuer.url);
            setup = scene.with_file(setup, "AUTH_ISSUERS", &issuers).env("PUBLIC_URL", RESOURCE);
        }
        let proxy = setup.env("AUTH_CUSTOM_HEADER", HEADER).env("ALLOW_ANONYMOUS", "1").start_proxy().await;
        let ann = scene.clients.issue("ann", &["ann.example"]);
        let mut wrong = Vec::new();
        for certificate in [false, true] {
            let at = match asked.certificates {
                None if certificate => continue,
                None => proxy.http,
                Some(_) => scene.showing(&proxy, certificate.then_some(&ann)).await,
            };
            let pairs = Shown::ALL.iter().flat_map(|bearer| Shown::ALL.map(|custom| (*bearer, custom)));
            for (bearer, custom) in pairs {
                for second in [None, Some("Bearer wrong-key"), Some("bearer")] {
                    let asking = Request { bearer, custom, certificate, second };
                    let is_let_in = credentials.status(at, asking).await == 200;
                    if is_let_in != asking.is_let_in(asked) {
                        wrong.push(format!("{asked:?} {asking:?}: {is_let_in}"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
