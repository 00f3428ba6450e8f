//! What clients discover: the metadata of the authorization server (RFC 8414), also where `OpenID` clients look. Must not know requests.

use bytes::Bytes;
use hyper::Response;
use serde_json::json;

use crate::reply;
use crate::settings::BrokerSettings;

/// Where clients look, each also with a path of the endpoint behind it.
const WELL_KNOWN: [&str; 2] =
    ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];
/// Paths of the endpoint.
const PATHS: [&str; 5] = ["", "/", "/mcp", "/messages", "/sse"];

/// Where clients look for the metadata of the resource (RFC 9728).
const RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// Returns whether the metadata of the resource are at a path.
pub(crate) fn is_resource_path(path: &str) -> bool {
    path.strip_prefix(RESOURCE).is_some_and(|rest| PATHS.contains(&rest))
}

/// Returns the URL of the metadata of the resource.
pub(crate) fn resource_url(settings: &BrokerSettings) -> String {
    let issuer = settings.url.issuer();
    let path =
        settings.url.resource().strip_prefix(issuer).filter(|path| PATHS.contains(path)).unwrap_or_default();
    format!("{issuer}{RESOURCE}{path}")
}

/// The metadata of the resource.
pub(crate) fn resource(settings: &BrokerSettings) -> Response<Bytes> {
    reply::document(&json!({
        "resource": settings.url.resource(),
        "authorization_servers": [settings.url.issuer()],
        "scopes_supported": settings.default_scopes,
        "bearer_methods_supported": ["header"],
        "resource_name": "mcp-relay",
    }))
}

/// Returns whether the metadata are at a path.
pub(crate) fn is_path(path: &str) -> bool {
    path == "/mcp/.well-known/openid-configuration"
        || WELL_KNOWN.iter().any(|known| path.strip_prefix(known).is_some_and(|rest| PATHS.contains(&rest)))
}

/// The metadata.
pub(crate) fn document(settings: &BrokerSettings) -> Response<Bytes> {
    let issuer = settings.url.issuer();
    let at = |path: &str| format!("{issuer}/oauth/{path}");
    reply::document(&json!({
        "issuer": issuer,
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "registration_endpoint": at("register"),
        "revocation_endpoint": at("revoke"),
        "scopes_supported": settings.scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "client_id_metadata_document_supported": settings.documents.is_some(),
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        // OpenID's readers refuse metadata without these; no id token is issued.
        "jwks_uri": at("keys"),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

/// The keys of id tokens: none, as there are no id tokens.
pub(crate) fn keys() -> Response<Bytes> {
    reply::document(&json!({ "keys": [] }))
}
