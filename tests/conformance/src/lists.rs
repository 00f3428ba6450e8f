//! Lists of the fixture, as they stand in `lists/*.json`, and small test content.
//!
//! Knows rmcp's types; must not know behaviour.

use rmcp::ErrorData;
use rmcp::model::{Prompt, Resource, ResourceTemplate, Tool};
use serde_json::{Value, json};

/// PNG of one red pixel, base64.
pub(crate) const IMAGE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// WAV without a sample, base64.
pub(crate) const SOUND: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

/// Tools, in the order in which they are listed; one more after every second change.
pub(crate) fn tools(changes: u64) -> Result<Vec<Tool>, ErrorData> {
    let mut tools: Vec<Tool> = read(include_str!("lists/tools.json"))?;
    if changes % 2 == 1 {
        tools.push(typed(json!({ "name": "test_new_tool", "description": "Came later", "inputSchema": { "type": "object" } }))?);
    }
    Ok(tools)
}

/// Prompts, in the order in which they are listed; one more after every second change.
pub(crate) fn prompts(changes: u64) -> Result<Vec<Prompt>, ErrorData> {
    let mut prompts: Vec<Prompt> = read(include_str!("lists/prompts.json"))?;
    if changes % 2 == 1 {
        prompts.push(typed(json!({ "name": "test_new_prompt", "description": "Came later" }))?);
    }
    Ok(prompts)
}

/// Resources, in the order in which they are listed.
pub(crate) fn resources() -> Result<Vec<Resource>, ErrorData> {
    read(include_str!("lists/resources.json"))
}

/// Resource templates.
pub(crate) fn templates() -> Result<Vec<ResourceTemplate>, ErrorData> {
    read(include_str!("lists/templates.json"))
}

/// Value of one of rmcp's types from its JSON.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// Result of a request from its JSON. rmcp takes the type away again for legacy clients.
pub(crate) fn result<T: serde::de::DeserializeOwned>(mut value: Value) -> Result<T, ErrorData> {
    value["resultType"] = "complete".into();
    typed(value)
}

/// Result of a tool with one text.
pub(crate) fn text<T: serde::de::DeserializeOwned>(text: impl AsRef<str>) -> Result<T, ErrorData> {
    result(json!({ "content": [{ "type": "text", "text": text.as_ref() }] }))
}

/// Result of a tool that failed, with one text.
pub(crate) fn failed<T: serde::de::DeserializeOwned>(text: impl AsRef<str>) -> Result<T, ErrorData> {
    result(json!({ "isError": true, "content": [{ "type": "text", "text": text.as_ref() }] }))
}

fn read<T: serde::de::DeserializeOwned>(list: &str) -> Result<T, ErrorData> {
    serde_json::from_str(list).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}
