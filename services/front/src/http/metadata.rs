//! What tells clients where to get a token (RFC 9728): the metadata of the resource, and the challenges that lead there. Must not
//! know tokens.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use runtime::tokens::TokenVerifier;

use super::path::known_path;
use super::response::{Refusal, empty, refusal_response};
use super::response_body::ResponseBody;
use crate::calls::Calls;
use crate::edge::Edge;
use crate::jsonrpc::Segments;

/// Well-known path, which the path of the resource may follow.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// HTTP methods of the path.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// Challenge where no tokens are accepted.
const KEYS_ONLY: HeaderValue = HeaderValue::from_static("Bearer realm=\"mcp\"");

/// Answers a request for the metadata, which anybody may read, pages of any origin included. `aliases` are paths of the
/// resource beside its own. `None`: the request is for something else, or no tokens are accepted.
pub(crate) fn answer<C: Calls>(
    edge: &Edge<C>,
    head: &Parts,
    aliases: &[&str],
) -> Option<Response<ResponseBody<C::Stream>>> {
    let tokens = edge.config.tokens.as_ref()?;
    let resource = head.uri.path().strip_prefix(WELL_KNOWN)?;
    let own = path_of(tokens.resource());
    // Every alias of the path is the one resource.
    known_path(resource, |path| path.is_empty() || path == own || aliases.contains(&path))?;
    let mut response = match head.method {
        Method::GET | Method::HEAD => document(edge, tokens),
        Method::OPTIONS => preflight(),
        ref other => {
            let failure = Failure::HttpMethodNotAllowed(other.as_str().chars().take(20).collect());
            let refusal = Refusal { failure, era: Era::Legacy, id: None };
            let mut response = refusal_response(&refusal, &head.headers);
            response.headers_mut().insert(ALLOW, METHODS);
            response
        }
    };
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Some(response)
}

fn document<C: Calls>(edge: &Edge<C>, tokens: &TokenVerifier) -> Response<ResponseBody<C::Stream>> {
    let authority = edge.config.authority.as_ref();
    let mut issuers = tokens.issuers();
    issuers.extend(authority.map(|authority| authority.issuer().to_owned()));
    let mut document = serde_json::json!({
        "resource": tokens.resource(),
        "authorization_servers": issuers,
        "bearer_methods_supported": ["header"],
        "resource_name": edge.config.name,
    });
    let mut scopes = tokens.scopes();
    let more = authority
        .iter()
        .flat_map(|authority| authority.default_scopes())
        .filter(|scope| !scopes.contains(scope));
    let more: Vec<String> = more.cloned().collect();
    scopes.extend(more);
    if !scopes.is_empty() {
        document["scopes_supported"] = scopes.into();
    }
    let mut response = Response::new(ResponseBody::Whole(Segments::one(document.to_string().into())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    response
}

fn preflight<S>() -> Response<ResponseBody<S>> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    // Clients send the version of MCP with each request.
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Whether a request showed a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A bearer key or token.
    Bearer,
    /// None that a challenge speaks of.
    Nothing,
}

/// Returns the challenge (RFC 6750, 3; RFC 9728, 5.1) of a response to this failure; `None` where it has none.
pub(crate) fn challenge(
    tokens: Option<&TokenVerifier>,
    failure: &Failure,
    shown: Shown,
) -> Option<HeaderValue> {
    let scopes = match failure {
        Failure::Unauthorized(_) | Failure::AnonymousRefused => None,
        Failure::InsufficientScope { scopes } => Some(scopes.clone()),
        _ => return None,
    };
    // What a policy asks of the holder of a key stands in the response already.
    let Some(tokens) = tokens else { return scopes.is_none().then_some(KEYS_ONLY) };
    let error = match (&scopes, shown) {
        (Some(_), _) => Some("insufficient_scope"),
        // RFC 6750, 3.1: whoever shows no credential is told no error.
        (None, Shown::Bearer) => Some("invalid_token"),
        (None, Shown::Nothing) => None,
    };
    let scopes = scopes.unwrap_or_else(|| tokens.scopes());
    let error = error.map(|error| {
        format!("error=\"{error}\", error_description=\"{}\", ", quotable(&failure.to_string()))
    });
    let error = error.unwrap_or_default();
    let scopes = scopes.iter().map(|scope| quotable(scope)).collect::<Vec<_>>().join(" ");
    let scopes = if scopes.is_empty() { scopes } else { format!(", scope=\"{scopes}\"") };
    let metadata = metadata_url(tokens.resource());
    let text = format!("Bearer {error}resource_metadata=\"{metadata}\"{scopes}");
    // All parts are ASCII without control characters.
    Some(HeaderValue::try_from(text).unwrap_or(KEYS_ONLY))
}

/// Returns the URL of the metadata of a resource (RFC 9728, 3.1): the well-known path stands before the resource's own.
fn metadata_url(resource: &str) -> String {
    let path = path_of(resource);
    let origin = resource.strip_suffix(path).unwrap_or(resource);
    format!("{origin}{WELL_KNOWN}{path}")
}

/// Returns the path of a URL without a slash at its end; empty for the root.
fn path_of(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = authority.find('/').map_or("", |at| &authority[at..]);
    path.trim_end_matches('/')
}

/// Returns a text without what may not stand in a quoted string (RFC 6750, 3).
fn quotable(text: &str) -> String {
    text.chars().filter(|char| matches!(char, ' '..='~') && !matches!(char, '"' | '\\')).collect()
}

#[cfg(test)]
mod tests {
    use runtime::outbound::OutboundRules;
    use runtime::tokens::IssuersFile;

    use super::*;

    fn tokens(resource: &str, scopes: &str) -> TokenVerifier {
        let file = format!("issuers:\n- {{issuer: https://id.example, scopes: {scopes}}}\n");
        TokenVerifier::new(
            resource,
            &IssuersFile::from_bytes(file.as_bytes()).unwrap(),
            OutboundRules::default(),
        )
    }

    #[test]
    fn the_well_known_path_stands_before_that_of_the_resource() {
        for (resource, url) in [
            ("https://a.example/mcp", "https://a.example/.well-known/oauth-protected-resource/mcp"),
            ("https://a.example/x/mcp", "https://a.example/.well-known/oauth-protected-resource/x/mcp"),
            ("https://a.example", "https://a.example/.well-known/oauth-protected-resource"),
            ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/.well-known/oauth-protected-resource"),
            ("http://[::1]:1/mcp", "http://[::1]:1/.well-known/oauth-protected-resource/mcp"),
        ] {
            assert_eq!(metadata_url(resource.trim_end_matches('/')), url);
        }
    }

    #[test]
    fn a_challenge_says_where_and_what_and_an_error_only_where_something_was_shown() {
        let some = tokens("https://a.example/mcp", "[b, a]");
        let none = Failure::Unauthorized("no key".into());
        let metadata = "resource_metadata=\"https://a.example/.well-known/oauth-protected-resource/mcp\"";
        let text = |tokens: Option<&TokenVerifier>, failure: &Failure, shown| {
            challenge(tokens, failure, shown).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(
            text(Some(&some), &none, Shown::Nothing).unwrap(),
            format!("Bearer {metadata}, scope=\"a b\"")
        );
        let invalid = text(Some(&some), &none, Shown::Bearer).unwrap();
        assert!(
            invalid.starts_with("Bearer error=\"invalid_token\", ") && invalid.contains(metadata),
            "{invalid}"
        );
        let missing = Failure::InsufficientScope { scopes: vec!["x".into(), "y\"\n".into()] };
        let step_up = text(Some(&some), &missing, Shown::Bearer).unwrap();
        assert!(
            step_up.contains("error=\"insufficient_scope\"") && step_up.ends_with("scope=\"x y\""),
            "{step_up}"
        );
        assert_eq!(text(None, &none, Shown::Bearer).unwrap(), "Bearer realm=\"mcp\"");
        assert_eq!(text(Some(&some), &Failure::PathNotFound, Shown::Bearer), None);
    }
}
