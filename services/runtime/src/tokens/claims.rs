//! What a token says of its holder. Must not know signatures.

use serde_json::{Map, Value};

use super::error::TokenError;
use super::issuer::Issuer;
use super::scopes::challenged;

/// Bytes of a subject, a name, a group or a scope.
const MAX_TEXT: usize = 512;

/// Groups, and scopes, of one token. A token with more is refused: a rule may depend on the one that is left out.
const MAX_ENTRIES: usize = 1000;

/// The holder of a token, and what the token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIdentity {
    /// Issuer.
    pub issuer: String,
    /// Subject at the issuer.
    pub subject: String,
    /// Name for people, which may change and is not unique.
    pub name: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Scopes.
    pub scopes: Vec<String>,
    /// Program that the token was issued to, where the token says so.
    pub client: Option<String>,
}

/// Checks the claims that every token has, and those that the operator requires; returns the holder.
pub(super) fn identity(
    claims: &Map<String, Value>,
    issuer: &Issuer,
    resource: &str,
) -> Result<TokenIdentity, TokenError> {
    let audience = claims.get("aud").ok_or(TokenError::Invalid("the token names no audience"))?;
    if !issuer.accepts_audience(audience, resource) {
        return Err(TokenError::Invalid("the token is meant for another audience"));
    }
    for (path, values) in &issuer.require {
        let is_met = path.of(claims).is_some_and(|found| match found {
            Value::Array(list) => list.iter().any(|value| is_one_of(value, values)),
            one => is_one_of(one, values),
        });
        if !is_met {
            return Err(TokenError::Invalid("the token lacks a claim that the operator requires"));
        }
    }
    let identity = TokenIdentity {
        issuer: issuer.identifier.clone(),
        subject: subject(claims, issuer)?,
        name: issuer
            .claims
            .name
            .of(claims)
            .and_then(Value::as_str)
            .filter(|name| is_fit(name))
            .map(str::to_owned),
        groups: texts(issuer.claims.groups.of(claims), Split::Never)?,
        scopes: texts(issuer.claims.scopes.iter().find_map(|path| path.of(claims)), Split::AtSpaces)?,
        client: ["client_id", "azp"].iter().find_map(|name| claims.get(*name)?.as_str()).map(str::to_owned),
    };
    if issuer.scopes.iter().all(|scope| identity.scopes.contains(scope)) {
        Ok(identity)
    } else {
        Err(TokenError::Scopes(challenged(&identity.scopes, &issuer.scopes)))
    }
}

/// Returns whether a claim's value is one of these texts; a flag or number is compared as it is written.
fn is_one_of(value: &Value, wanted: &[String]) -> bool {
    match value {
        Value::String(text) => wanted.contains(text),
        Value::Bool(_) | Value::Number(_) => wanted.contains(&value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn subject(claims: &Map<String, Value>, issuer: &Issuer) -> Result<String, TokenError> {
    let subject = issuer.claims.subject.of(claims).and_then(Value::as_str).filter(|text| is_fit(text));
    subject.map(str::to_owned).ok_or(TokenError::Invalid("the token names no subject"))
}

/// Whether one text may stand for several.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Split {
    Never,
    AtSpaces,
}

fn texts(value: Option<&Value>, split: Split) -> Result<Vec<String>, TokenError> {
    let unfit = TokenError::Invalid("the token has groups or scopes that cannot be read");
    let list: Vec<&str> = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) if split == Split::AtSpaces => text.split_ascii_whitespace().collect(),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => {
            list.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(|| unfit.clone())?
        }
        Some(_) => return Err(unfit),
    };
    if list.len() > MAX_ENTRIES || !list.iter().all(|text| is_fit(text)) {
        return Err(unfit);
    }
    Ok(list.into_iter().map(str::to_owned).collect())
}

/// Returns whether a text can be compared and shown: neither empty nor long, and without control characters.
fn is_fit(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::file::IssuersFile;
    use super::*;

    /// Returns whether a token with these claims beside the usual ones is accepted where this is required.
    fn is_accepted(require: &str, more: &Value) -> bool {
        let file = format!("issuers: [{{issuer: 'https://id.example', require: {require}}}]");
        let file = IssuersFile::from_bytes(file.as_bytes()).unwrap();
        let mut claims = json!({"sub": "7", "aud": "https://relay.example/mcp"});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let read = identity(claims.as_object().unwrap(), &file.issuers()[0], "https://relay.example/mcp");
        read.is_ok()
    }

    #[test]
    fn a_required_claim_is_a_text_a_flag_or_a_number_alone_or_in_a_list() {
        for (require, claim, accepted) in [
            ("{hd: example.com}", json!("example.com"), true),
            ("{hd: example.com}", json!(["other.example", "example.com"]), true),
            ("{hd: [example.com, example.org]}", json!("example.org"), true),
            ("{hd: example.com}", json!("other.example"), false),
            ("{hd: example.com}", json!({"example.com": true}), false),
            ("{hd: true}", json!(true), true),
            ("{hd: 'true'}", json!(true), true),
            ("{hd: true}", json!("true"), true),
            ("{hd: true}", json!(false), false),
            ("{hd: true}", json!(1), false),
            ("{hd: true}", json!(null), false),
            ("{hd: [1, 2]}", json!(2), true),
            ("{hd: 1}", json!(11), false),
        ] {
            assert_eq!(is_accepted(require, &json!({ "hd": claim })), accepted, "{require} {claim}");
        }
        assert!(!is_accepted("{hd: example.com}", &json!({})), "without the claim");
    }
}
