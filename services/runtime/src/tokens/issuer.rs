//! An issuer of tokens as the operator describes it. Must not know keys or tokens.

use std::path::PathBuf;

use serde_json::{Map, Value};
use url::Url;

use super::algorithm::SigningAlgorithm;

/// Where an issuer's public keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyLocation {
    /// In the issuer's metadata (`OpenID` Connect Discovery, RFC 8414).
    Discovery,
    /// At this URL.
    Url(Url),
    /// In this file: the process asks nobody.
    File(PathBuf),
}

/// The endpoint that tells whether a token is valid (RFC 7662).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IntrospectionEndpoint {
    pub(super) url: Url,
    pub(super) client: String,
    /// File of the client's secret, read at each request.
    pub(super) secret: PathBuf,
}

/// Where a token says something: the name of a claim, or a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClaimPath(pub(super) String);

impl ClaimPath {
    pub(super) fn of<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let Some(pointer) = self.0.strip_prefix('/') else { return claims.get(&self.0) };
        let (first, rest) = pointer.find('/').map_or((pointer, ""), |at| pointer.split_at(at));
        claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
    }
}

/// Where tokens of an issuer say who the caller is and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClaimNames {
    pub(super) subject: ClaimPath,
    pub(super) name: ClaimPath,
    pub(super) groups: ClaimPath,
    /// `scope`, and where that is missing `scp`, unless the operator names one.
    pub(super) scopes: Vec<ClaimPath>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let path = |name: &str| ClaimPath(name.to_owned());
        Self {
            subject: path("sub"),
            name: path("preferred_username"),
            groups: path("groups"),
            scopes: vec![path("scope"), path("scp")],
        }
    }
}

/// An issuer of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Value of `iss`.
    pub(super) identifier: String,
    /// Values of `aud`, one of which a token must have; empty: the resource.
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<SigningAlgorithm>,
    /// Accepted values of the header's `typ`, in lower case and without `application/`; [`Self::NO_TYPE`]: none at all.
    pub(super) types: Vec<String>,
    pub(super) keys: KeyLocation,
    pub(super) claims: ClaimNames,
    /// Claims that must have these values.
    pub(super) require: Vec<(ClaimPath, Vec<String>)>,
    /// Scopes that every token must have.
    pub(super) scopes: Vec<String>,
    /// Difference of clocks that is allowed for, in seconds.
    pub(super) leeway: u64,
    pub(super) introspection: Option<IntrospectionEndpoint>,
    /// Authorities that are trusted instead of the system's.
    pub(super) ca: Option<PathBuf>,
}

impl Issuer {
    /// Stands in the list of types for tokens without one.
    pub(super) const NO_TYPE: &'static str = "none";

    /// Returns the issuer's identifier.
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// Returns the scopes that every token of the issuer must have.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Returns where the keys are.
    pub fn keys(&self) -> &KeyLocation {
        &self.keys
    }

    /// Returns the file of authorities that are trusted instead of the system's.
    pub fn ca(&self) -> Option<&PathBuf> {
        self.ca.as_ref()
    }

    /// Returns whether a token with this `aud` is meant for `resource`. A slash at the end makes no difference there.
    pub(super) fn accepts_audience(&self, audience: &Value, resource: &str) -> bool {
        let is_ours = |value: &str| {
            let listed = self.audiences.iter().any(|listed| listed == value);
            listed
                || self.audiences.is_empty() && value.trim_end_matches('/') == resource.trim_end_matches('/')
        };
        match audience {
            Value::String(value) => is_ours(value),
            Value::Array(values) => values.iter().filter_map(Value::as_str).any(is_ours),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_found_by_name_and_by_pointer() {
        let Value::Object(claims) =
            json!({"sub": "a", "a/b": 1, "realm_access": {"roles": ["x"]}, "https://x/groups": ["g"]})
        else {
            return;
        };
        for (path, value) in [
            ("sub", Some(json!("a"))),
            ("/sub", Some(json!("a"))),
            ("/realm_access/roles", Some(json!(["x"]))),
            ("/realm_access/roles/0", Some(json!("x"))),
            ("https://x/groups", Some(json!(["g"]))),
            ("/a~1b", Some(json!(1))),
            ("realm_access/roles", None),
            ("/realm_access/none", None),
            ("/", None),
        ] {
            assert_eq!(ClaimPath(path.to_owned()).of(&claims).cloned(), value, "{path}");
        }
    }
}
