//! An issuer's metadata (`OpenID` Connect Discovery 1.0, RFC 8414). Must not know keys.

use serde::Deserialize;
use url::Url;

use super::fetch::{FetchError, Fetcher};
use super::file::is_secure;

/// What an issuer says of itself, as far as it is read here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Discovered {
    /// Its identifier.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: Option<String>,
    /// Where clients send their users.
    pub authorization_endpoint: Option<String>,
    /// Where clients get tokens.
    pub token_endpoint: Option<String>,
    /// Where clients register themselves.
    pub registration_endpoint: Option<String>,
    /// Methods of PKCE.
    #[serde(default)]
    pub code_challenge_methods_supported: Vec<String>,
    /// Whether URLs are taken for ids of clients.
    #[serde(default)]
    pub client_id_metadata_document_supported: bool,
}

/// Returns the URLs of an issuer's metadata, in the order in which MCP clients try them (2026-07-28, Authorization, "Authorization Server
/// Metadata Discovery").
pub fn metadata_urls(issuer: &str) -> Vec<Url> {
    let Ok(url) = Url::parse(issuer) else { return Vec::new() };
    let path = url.path().trim_end_matches('/').to_owned();
    let at = |path: String| {
        let mut url = url.clone();
        url.set_path(&path);
        url
    };
    let mut urls = vec![
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("/.well-known/openid-configuration{path}")),
    ];
    if !path.is_empty() {
        urls.push(at(format!("{path}/.well-known/openid-configuration")));
    }
    urls
}

impl Discovered {
    /// Gets the metadata of an issuer. Metadata of another issuer is not used (RFC 8414, 3.3).
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn fetch(fetcher: &Fetcher, issuer: &str) -> Result<Self, String> {
        let mut failure = "it is no URL".to_owned();
        for url in metadata_urls(issuer) {
            match fetcher.get(&url).await {
                Ok(text) => {
                    return Self::parse(&text, issuer).map_err(|error| format!("{} {error}", url.path()));
                }
                Err(error @ FetchError::NoAnswer(_)) => return Err(error.to_string()),
                Err(error) => failure = format!("{}: {error}", url.path()),
            }
        }
        Err(format!("no metadata ({failure})"))
    }

    fn parse(text: &[u8], issuer: &str) -> Result<Self, String> {
        let found: Self =
            serde_json::from_slice(text).map_err(|_| "is no metadata of an issuer".to_owned())?;
        if found.issuer != issuer {
            let other: String = found.issuer.chars().filter(|char| !char.is_control()).take(200).collect();
            return Err(format!("is the metadata of another issuer, {other}"));
        }
        Ok(found)
    }

    /// Returns the URL of the keys.
    pub(super) fn keys(&self) -> Result<Url, String> {
        let url = self.jwks_uri.as_deref().and_then(|text| Url::parse(text).ok());
        // Queries are not for us to forbid here, as they are in the operator's file.
        let bare = url.clone().map(|mut url| {
            url.set_query(None);
            url
        });
        url.filter(|_| bare.is_some_and(|url| is_secure(&url)))
            .ok_or_else(|| "its metadata has no jwks_uri with https://".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_the_specification_says() {
        for (issuer, expected) in [
            (
                "https://a.example/realms/r",
                &[
                    "https://a.example/.well-known/oauth-authorization-server/realms/r",
                    "https://a.example/.well-known/openid-configuration/realms/r",
                    "https://a.example/realms/r/.well-known/openid-configuration",
                ][..],
            ),
            (
                "https://a.example",
                &[
                    "https://a.example/.well-known/oauth-authorization-server",
                    "https://a.example/.well-known/openid-configuration",
                ],
            ),
            ("nothing", &[]),
        ] {
            let urls: Vec<String> = metadata_urls(issuer).iter().map(ToString::to_string).collect();
            assert_eq!(urls, expected, "{issuer}");
        }
    }

    #[test]
    fn metadata_of_another_issuer_and_keys_without_tls_are_not_used() {
        let text = |issuer: &str, keys: &str| format!(r#"{{"issuer":"{issuer}","jwks_uri":"{keys}"}}"#);
        let read =
            |issuer: &str, keys: &str| Discovered::parse(text(issuer, keys).as_bytes(), "https://a.example");
        assert!(read("https://a.example", "https://b.example/k?v=1").unwrap().keys().is_ok());
        for keys in ["http://b.example/k", "file:///k", "", "https://u@b.example/"] {
            assert!(read("https://a.example", keys).unwrap().keys().is_err(), "{keys}");
        }
        for other in ["https://a.example/", "https://A.example", "https://b.example", ""] {
            assert!(read(other, "https://b.example/k").unwrap_err().contains("another issuer"), "{other}");
        }
    }
}
