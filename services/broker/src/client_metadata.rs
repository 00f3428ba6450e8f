//! What a client says of itself (RFC 7591, 2). Must not know where it says so.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::Fault;
use crate::redirect;

/// Most redirect URIs of a client, and most bytes of all of them: they travel in the client's id.
const MAX_URIS: usize = 12;
const MAX_URI_BYTES: usize = 2048;
/// Longest name of a client, in characters.
const MAX_NAME: usize = 80;

/// What a client says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    #[serde(rename = "n")]
    pub(crate) name: String,
    #[serde(rename = "u")]
    pub(crate) redirects: Vec<String>,
    /// Whether it uses refresh tokens.
    #[serde(rename = "r")]
    pub(crate) refresh: bool,
    /// Time of the registration, in seconds since 1970.
    #[serde(rename = "t")]
    pub(crate) at: u64,
}

impl Metadata {
    /// Reads the metadata of RFC 7591, 2.
    ///
    /// # Errors
    /// They are not those of a public client with the code grant, or too long.
    pub(crate) fn read(value: &Value, at: u64) -> Result<Self, Fault> {
        let bad = |words| Fault::new("invalid_client_metadata", words);
        let object = value.as_object().ok_or(bad("the metadata are no JSON object"))?;
        let redirects = read_redirects(object.get("redirect_uris"))?;
        let grants = texts(object.get("grant_types")).map_err(|()| bad("grant_types is no list of texts"))?;
        let has = |name: &str| grants.iter().flatten().any(|grant| grant == name);
        if grants.is_some() && !has("authorization_code") {
            return Err(bad("grant_types does not have authorization_code"));
        }
        let responses =
            texts(object.get("response_types")).map_err(|()| bad("response_types is no list of texts"))?;
        if responses.is_some_and(|types| !types.iter().any(|kind| kind == "code")) {
            return Err(bad("response_types does not have code"));
        }
        let name = match object.get("client_name") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(name)) => shown(name),
            Some(_) => return Err(bad("client_name is no text")),
        };
        Ok(Self { name, redirects, refresh: has("refresh_token"), at })
    }
}

/// Returns a name as pages show it: without what hides or reorders text, and not too long.
fn shown(name: &str) -> String {
    let visible: String =
        name.chars().filter(|c| !runtime::printable::is_escaped(*c)).take(MAX_NAME).collect();
    visible.trim().to_owned()
}

fn read_redirects(value: Option<&Value>) -> Result<Vec<String>, Fault> {
    let bad = |words| Fault::new("invalid_redirect_uri", words);
    let uris = texts(value).ok().flatten().unwrap_or_default();
    if uris.is_empty() || uris.len() > MAX_URIS || uris.iter().map(String::len).sum::<usize>() > MAX_URI_BYTES
    {
        return Err(bad("redirect_uris is no list of 1 to 12 URIs of together at most 2048 bytes"));
    }
    uris.iter().try_for_each(|uri| redirect::check(uri)).map_err(bad)?;
    Ok(uris)
}

fn texts(value: Option<&Value>) -> Result<Option<Vec<String>>, ()> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => list
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map(Some)
            .ok_or(()),
        Some(_) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_are_those_of_a_client_with_the_code_grant() {
        let read = |value: Value| Metadata::read(&value, 7);
        let uri = "http://127.0.0.1/cb";
        let least = read(json!({"redirect_uris": [uri]})).unwrap();
        assert_eq!((least.redirects.as_slice(), least.refresh, least.at), (&[uri.to_owned()][..], false, 7));
        let full = json!({"redirect_uris": [uri], "grant_types": ["authorization_code", "refresh_token", "implicit"],
            "response_types": ["code"], "client_name": " A\u{202e}B\n ", "software_statement": "x", "x": {}});
        let full = read(full).unwrap();
        assert_eq!((full.name.as_str(), full.refresh), ("AB", true));
        assert_eq!(
            read(json!({"redirect_uris": [uri], "client_name": "x".repeat(500)})).unwrap().name.len(),
            MAX_NAME
        );
        for (bad, code) in [
            (json!([]), "invalid_client_metadata"),
            (json!({}), "invalid_redirect_uri"),
            (json!({"redirect_uris": []}), "invalid_redirect_uri"),
            (json!({"redirect_uris": uri}), "invalid_redirect_uri"),
            (json!({"redirect_uris": [1]}), "invalid_redirect_uri"),
            (json!({"redirect_uris": [uri, "http://evil.example/"]}), "invalid_redirect_uri"),
            (json!({"redirect_uris": vec![uri; MAX_URIS + 1]}), "invalid_redirect_uri"),
            (
                json!({"redirect_uris": [format!("{uri}/{}", "x".repeat(900)), format!("{uri}/{}", "y".repeat(900)), format!("{uri}/{}", "z".repeat(900))]}),
                "invalid_redirect_uri",
            ),
            (
                json!({"redirect_uris": [uri], "grant_types": ["client_credentials"]}),
                "invalid_client_metadata",
            ),
            (json!({"redirect_uris": [uri], "grant_types": "authorization_code"}), "invalid_client_metadata"),
            (json!({"redirect_uris": [uri], "response_types": ["token"]}), "invalid_client_metadata"),
            (json!({"redirect_uris": [uri], "client_name": {}}), "invalid_client_metadata"),
        ] {
            assert_eq!(read(bad.clone()).unwrap_err().code, code, "{bad}");
        }
    }
}
