//! Identity of a client, as its credential proves it. Must not know how it was proven.

use serde::{Deserialize, Serialize};

/// Who a client is: what policies decide by, limits and the audit stream name, and slaves are told with a call
/// ([`CallHeader::identity`](super::header::CallHeader::identity)). Never a key or a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Issuer of the token, a URL. `None`: the holder of a key in the proxy's own file. [`Self::BY_CERTIFICATE`]: neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Subject of the token within its issuer, or the key's name, or the first name in the certificate.
    pub subject: String,
    /// Name for people, where the subject is not made for reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Groups that the client belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Names in the certificate that the client has shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificate: Vec<String>,
}

impl Identity {
    /// Issuer of a client who has shown nothing but a certificate: neither an issuer of tokens nor a key's file.
    pub const BY_CERTIFICATE: &str = "urn:mcp-relay:certificate";

    /// A client who has shown nothing but a certificate with these names; `None` without names.
    pub fn of_certificate(names: &[String]) -> Option<Self> {
        Some(Self {
            issuer: Some(Self::BY_CERTIFICATE.to_owned()),
            subject: names.first()?.clone(),
            certificate: names.to_vec(),
            ..Self::default()
        })
    }

    /// Returns whether the client has shown nothing but a certificate.
    pub fn is_by_certificate(&self) -> bool {
        self.issuer.as_deref() == Some(Self::BY_CERTIFICATE)
    }

    /// Returns the text by which people know the client.
    pub fn display(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_written() {
        let key = Identity { subject: "ci".into(), ..Identity::default() };
        assert_eq!(serde_json::to_string(&key).unwrap(), r#"{"subject":"ci"}"#);
        let person = Identity { name: Some("Ada".into()), ..key.clone() };
        assert_eq!((key.display(), person.display()), ("ci", "Ada"));
        let by_certificate = Identity::of_certificate(&["ada@x".to_owned()]).unwrap();
        assert!(by_certificate.is_by_certificate() && !key.is_by_certificate());
        assert_eq!(
            serde_json::to_string(&by_certificate).unwrap(),
            r#"{"issuer":"urn:mcp-relay:certificate","subject":"ada@x","certificate":["ada@x"]}"#
        );
        let text = r#"{"issuer":"https://id","subject":"7","name":"Ada","groups":["a"],"later":1}"#;
        let read: Identity = serde_json::from_str(text).unwrap();
        assert_eq!((read.issuer.as_deref(), read.groups), (Some("https://id"), vec!["a".to_owned()]));
    }
}
