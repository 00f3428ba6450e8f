//! The demo's prompt `greet`, its resource `demo://about` and its template `demo://echo/{text}`. Must not know tools.

use protocol::mcp::catalog::{CatalogEntry, ListKind};
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::backends::registration::EntryList;
use crate::call::{Answer, Request};

const PROMPT: &str = r#"{"name":"greet","title":"Greet","description":"Asks for a greeting.","arguments":[{"name":"name","description":"Who is greeted","required":true}]}"#;

const RESOURCE: &str = r#"{"uri":"demo://about","name":"about","title":"About the demo","description":"Says what this is.","mimeType":"text/plain"}"#;

const TEMPLATE: &str = r#"{"uriTemplate":"demo://echo/{text}","name":"echo","title":"Echo","description":"Has the text of its URI.","mimeType":"text/plain"}"#;

/// Capabilities of the demo.
pub(super) const CAPABILITIES: &str = r#"{"tools":{},"prompts":{},"resources":{},"completions":{}}"#;

/// Text of `demo://about`.
const ABOUT: &str = "The demo backend of mcp-relay: four tools, a prompt, a resource and a resource template, for trying things out.";

/// Names that complete the argument of `greet`.
const NAMES: [&str; 4] = ["Ada", "Alan", "Grace", "Linus"];

/// Returns the lists beside the tools: prompts, resources and templates.
pub(super) fn lists() -> [Option<EntryList>; 3] {
    let kinds = [
        (ListKind::Prompts, PROMPT),
        (ListKind::Resources, RESOURCE),
        (ListKind::ResourceTemplates, TEMPLATE),
    ];
    kinds.map(|(kind, definition)| {
        let definition = RawValue::from_string(definition.to_owned()).ok()?;
        let entry = CatalogEntry::read(kind, &definition).ok()?;
        Some(EntryList { entries: vec![entry], ..EntryList::default() })
    })
}

/// Answers a request of any method but `tools/call`. `subject` is the name or the URI that it names.
///
/// # Errors
/// The demo has no such method or resource, or the arguments are not those of the prompt.
pub(super) fn answer(subject: &str, request: &Request) -> Result<Answer, Failure> {
    let result = match request.header.method.as_str() {
        "prompts/get" => greet(request)?,
        "resources/read" => read(subject, request.header.era)?,
        "completion/complete" => complete(request)?,
        method => return Err(Failure::MethodNotFound(method.to_owned())),
    };
    Ok(result_of(result, request.header.era))
}

fn result_of(mut result: Value, era: Era) -> Answer {
    if era == Era::Modern {
        result["resultType"] = "complete".into();
    }
    Answer::result(result.to_string().into())
}

fn greet(request: &Request) -> Result<Value, Failure> {
    #[derive(Deserialize)]
    struct Arguments {
        name: String,
    }
    let arguments: Arguments = serde_json::from_slice(request.arguments_json()).map_err(|_| {
        Failure::InvalidParams(
            r#"the prompt greet has the argument "name", for example {"name": "Ada"}"#.into(),
        )
    })?;
    let text = format!("Write a short, friendly greeting for {}.", arguments.name);
    Ok(json!({
        "description": "Asks for a greeting.",
        "messages": [{ "role": "user", "content": { "type": "text", "text": text } }],
    }))
}

fn read(uri: &str, era: Era) -> Result<Value, Failure> {
    let text = match uri.strip_prefix("demo://echo/") {
        Some(text) if !text.is_empty() => decoded(text),
        _ if uri == "demo://about" => ABOUT.to_owned(),
        _ => return Err(Failure::UnknownResource(uri.to_owned())),
    };
    let mut result = json!({ "contents": [{ "uri": uri, "mimeType": "text/plain", "text": text }] });
    if era == Era::Modern {
        result["ttlMs"] = 0.into();
        result["cacheScope"] = "private".into();
    }
    Ok(result)
}

fn complete(request: &Request) -> Result<Value, Failure> {
    #[derive(Deserialize)]
    struct Params {
        argument: Argument,
    }
    #[derive(Deserialize)]
    struct Argument {
        name: String,
        value: String,
    }
    let params = request.params.as_ref().map(|range| request.json(range)).unwrap_or_default();
    let Params { argument } = serde_json::from_slice(params).map_err(|_| {
        Failure::InvalidParams(
            r#""params" must have an "argument", for example {"name": "name", "value": "A"}"#.into(),
        )
    })?;
    let typed = argument.value.to_lowercase();
    let is_of_prompt = argument.name == "name" && request.name == "greet";
    let fits = |name: &&str| is_of_prompt && name.to_lowercase().starts_with(&typed);
    let values: Vec<&str> = NAMES.into_iter().filter(fits).collect();
    Ok(json!({ "completion": { "total": values.len(), "values": values, "hasMore": false } }))
}

/// Returns the text with `%XX` decoded; what is none stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).filter(|digits| byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(code) = code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(code);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_codes_are_decoded() {
        for (text, expected) in [
            ("a%20b", "a b"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%+1", "%+1"),
            ("%C3%A9%25", "é%"),
            ("%FF", "\u{fffd}"),
        ] {
            assert_eq!(decoded(text), expected);
        }
    }

    #[test]
    fn every_definition_can_be_listed() {
        assert!(lists().iter().all(Option::is_some));
        assert!(RawValue::from_string(CAPABILITIES.to_owned()).is_ok());
    }
}
