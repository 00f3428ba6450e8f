//! Capabilities of clients that a backend's request needs (2026-07-28, "Elicitation", "Sampling", "Roots"; 2025-11-25 has the same). Must
//! not know who asks.

use protocol::mcp::failure::Failure;
use serde_json::Value;

/// Checks that a client which declared these capabilities (a JSON object; `None`: none) can answer a request.
///
/// # Errors
/// [`Failure::MissingCapability`] names what the client lacks; [`Failure::MethodNotFound`]: no client answers this method.
pub(super) fn check(declared: Option<&[u8]>, method: &str, params: Option<&[u8]>) -> Result<(), Failure> {
    let declared: Value = declared.and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default();
    let needed = needed(method, params).ok_or_else(|| Failure::MethodNotFound(method.to_owned()))?;
    let has = |path: &[&str]| path.iter().try_fold(&declared, |at, key| at.get(key)).is_some();
    // An empty `elicitation` means forms, as in the versions that had only those.
    let forms_only = has(&["elicitation"]) && !has(&["elicitation", "form"]) && !has(&["elicitation", "url"]);
    if has(needed) || needed == ["elicitation", "form"] && forms_only {
        return Ok(());
    }
    let required = needed.iter().rev().fold("{}".to_owned(), |inner, key| format!(r#"{{"{key}":{inner}}}"#));
    Err(Failure::MissingCapability { required })
}

/// Returns the path of the capability; `None` for methods that are not askable.
fn needed(method: &str, params: Option<&[u8]>) -> Option<&'static [&'static str]> {
    let params: Value = params.and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default();
    match method {
        "elicitation/create" if params["mode"] == "url" => Some(&["elicitation", "url"]),
        "elicitation/create" => Some(&["elicitation", "form"]),
        "sampling/createMessage" if params.get("tools").is_some() || params.get("toolChoice").is_some() => {
            Some(&["sampling", "tools"])
        }
        "sampling/createMessage" => Some(&["sampling"]),
        "roots/list" => Some(&["roots"]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_did_not_declare_is_named() {
        for (declared, method, params, missing) in [
            ("{}", "elicitation/create", "{}", Some(r#"{"elicitation":{"form":{}}}"#)),
            (r#"{"elicitation":{}}"#, "elicitation/create", "{}", None),
            (r#"{"elicitation":{"form":{}}}"#, "elicitation/create", r#"{"mode":"form"}"#, None),
            (
                r#"{"elicitation":{"url":{}}}"#,
                "elicitation/create",
                "{}",
                Some(r#"{"elicitation":{"form":{}}}"#),
            ),
            (
                r#"{"elicitation":{}}"#,
                "elicitation/create",
                r#"{"mode":"url"}"#,
                Some(r#"{"elicitation":{"url":{}}}"#),
            ),
            (r#"{"elicitation":{"url":{}}}"#, "elicitation/create", r#"{"mode":"url"}"#, None),
            (r#"{"roots":{}}"#, "sampling/createMessage", "{}", Some(r#"{"sampling":{}}"#)),
            (r#"{"sampling":{}}"#, "sampling/createMessage", r#"{"n":1e400}"#, None),
            (
                r#"{"sampling":{}}"#,
                "sampling/createMessage",
                r#"{"tools":[]}"#,
                Some(r#"{"sampling":{"tools":{}}}"#),
            ),
            (r#"{"roots":{"listChanged":true}}"#, "roots/list", "", None),
            ("null", "roots/list", "", Some(r#"{"roots":{}}"#)),
        ] {
            let params = Some(params).filter(|params| !params.is_empty()).map(str::as_bytes);
            let checked = check(Some(declared.as_bytes()), method, params);
            let expected = missing
                .map_or(Ok(()), |required| Err(Failure::MissingCapability { required: required.into() }));
            assert_eq!(checked, expected, "{declared} {method}");
        }
        assert!(check(None, "roots/list", None).is_err());
        assert_eq!(check(None, "x/y", None), Err(Failure::MethodNotFound("x/y".into())));
    }
}
