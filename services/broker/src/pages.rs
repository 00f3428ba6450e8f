//! The pages that a user sees: sign-in, decision, errors. No script, nothing from elsewhere, in no frame. Must not know what is decided.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::{Response, StatusCode};
use sha2::{Digest, Sha256};

use crate::asked::Asked;
use crate::redirect;
use crate::reply;

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;background:#f4f5f7;color:#1c1e21;margin:0;padding:2rem 1rem}\
main{max-width:26rem;margin:0 auto;background:#fff;border:1px solid #d8dbe0;border-radius:8px;padding:1.5rem}\
h1{font-size:1.25rem;margin:0 0 1rem}label{display:block;margin:.75rem 0}\
input{display:block;width:100%;box-sizing:border-box;font:inherit;padding:.5rem;border:1px solid #8a8f98;border-radius:4px}\
button{font:inherit;padding:.5rem 1.25rem;border:1px solid #1f5fbf;border-radius:4px;background:#1f5fbf;color:#fff;margin:.75rem .5rem 0 0}\
button.other{background:#fff;color:#1c1e21;border-color:#8a8f98}\
.error{color:#a3120a}.note{color:#4d525b;font-size:.9rem}strong{overflow-wrap:anywhere}\
@media(prefers-color-scheme:dark){body{background:#17191c;color:#e6e8eb}main{background:#202327;border-color:#3a3f46}\
input{background:#17191c;color:inherit}button.other{background:#202327;color:inherit}.note{color:#aab0b9}.error{color:#ff8a80}}";

static STYLE_SOURCE: LazyLock<String> =
    LazyLock::new(|| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(STYLE))));

/// What is said above the form of the sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginError {
    None,
    Wrong,
    TooMany,
    Busy,
}

impl LoginError {
    fn words(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Wrong => "Name, password or one-time code are not right.",
            Self::TooMany => "Too many attempts. Try again later.",
            Self::Busy => "Too many people are signing in. Try again in a moment.",
        }
    }
}

/// The page of the sign-in.
pub(crate) fn login(status: StatusCode, asked: &Asked, flow: &str, error: LoginError) -> Response<Bytes> {
    let words = match error.words() {
        "" => String::new(),
        words => format!("<p class=error role=alert>{words}</p>"),
    };
    let body = format!(
        "<h1>Sign in</h1><p>{} wants to use the tools of this server.</p>{words}\
         <form method=post action=/oauth/login autocomplete=on><input type=hidden name=flow value=\"{}\">\
         <label>Name<input name=username required autofocus maxlength=64 autocomplete=username autocapitalize=none spellcheck=false></label>\
         <label>Password<input name=password type=password required maxlength=1024 autocomplete=current-password></label>\
         <label>One-time code, if you have one<input name=code inputmode=numeric maxlength=8 autocomplete=one-time-code></label>\
         <button>Sign in</button></form>",
        named(asked),
        escaped(flow),
    );
    page(status, "Sign in", &body, "'self'")
}

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed<'a> {
    /// A user who is signed in, by name.
    In(&'a str),
    /// Whoever signs in at this issuer afterwards.
    Later(&'a str),
}

/// The page of the decision.
pub(crate) fn consent(asked: &Asked, signed: Signed<'_>, flow: &str) -> Response<Bytes> {
    let who = match signed {
        Signed::In(user) => format!("You are signed in as <strong>{}</strong>.", escaped(user)),
        Signed::Later(issuer) => format!("You sign in at <strong>{}</strong> after that.", escaped(issuer)),
    };
    let scopes: Vec<String> =
        asked.scopes.iter().map(|scope| format!("<li><strong>{}</strong></li>", escaped(scope))).collect();
    let scopes = scopes.concat();
    let lasting = if asked.refresh {
        "<p class=note>It stays signed in until that ends or is revoked.</p>"
    } else {
        ""
    };
    let body = format!(
        "<h1>Let this client in?</h1><p>{}</p>\
         <p>{} wants to use the tools of this server in your name, with the scopes</p><ul>{scopes}</ul>\
         <p>Your answer goes to <strong>{}</strong>.</p>{lasting}\
         <p class=note>The name of the client is what it calls itself. Refuse if you did not begin this just now.</p>\
         <form method=post action=/oauth/consent><input type=hidden name=flow value=\"{}\">\
         <button name=decision value=allow>Allow</button><button name=decision value=deny class=other>Refuse</button></form>",
        who,
        named(asked),
        escaped(&redirect::destination(&asked.redirect)),
        escaped(flow),
    );
    // Browsers check the redirect that answers a form, too.
    let targets = match signed {
        Signed::In(_) => format!("'self' {}", redirect::csp_source(&asked.redirect)),
        // The provider leads on to pages that nobody here knows.
        Signed::Later(_) => "* ".to_owned() + &redirect::csp_source(&asked.redirect),
    };
    page(StatusCode::OK, "Let this client in?", &body, &targets)
}

/// A page that says what is wrong.
pub(crate) fn fault(status: StatusCode, words: &str) -> Response<Bytes> {
    let body = format!("<h1>This cannot go on</h1><p>Reason: {}.</p>", escaped(words));
    page(status, "This cannot go on", &body, "'none'")
}

/// The page of a fault of the system.
pub(crate) fn broken() -> Response<Bytes> {
    fault(StatusCode::INTERNAL_SERVER_ERROR, "no record could be made")
}

fn named(asked: &Asked) -> String {
    match asked.name.as_str() {
        "" => "A client without a name".to_owned(),
        name => format!("<strong>{}</strong>", escaped(name)),
    }
}

fn page(status: StatusCode, title: &str, body: &str, form_targets: &str) -> Response<Bytes> {
    let policy = format!(
        "default-src 'none'; style-src {}; form-action {form_targets}; frame-ancestors 'none'; base-uri 'none'",
        *STYLE_SOURCE
    );
    let html = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta name=robots content=noindex><title>{title}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    );
    reply::page(status, &policy, html)
}

/// Returns a text as HTML between tags or quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}
