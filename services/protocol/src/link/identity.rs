//! Identity of a client, as its credential proves it. Must not know how it was proven.

use serde::{Deserialize, Serialize};

/// Who a client is: what policies decide by, limits and the audit stream name, and slaves are told with a call
/// ([`CallHeader::identity`](super::header::CallHeader::identity)). Never a key or a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Issuer of the token, an URL. `None`: the holder of a key in the proxy's own file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Subject of the token within its issuer, or the key's name.
    pub subject: String,
    /// Name for people, where the subject is not made for reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Groups that the client belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Identity {
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
        let text = r#"{"issuer":"https://id","subject":"7","name":"Ada","groups":["a"],"later":1}"#;
        let read: Identity = serde_json::from_str(text).unwrap();
        assert_eq!((read.issuer.as_deref(), read.groups), (Some("https://id"), vec!["a".to_owned()]));
    }
}
