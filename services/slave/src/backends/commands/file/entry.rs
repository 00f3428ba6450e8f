//! The reader of one tool of the file. Must not know the file's other tools.

use std::collections::BTreeMap;

use protocol::mcp::catalog::{CatalogEntry, MAX_TOOL_NAME};
use runtime::document::{Cursor, Map};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::command::Places;
use super::reader::ToolReader;
use crate::backends::commands::schema::{Property, Schema, properties};
use crate::backends::commands::tool::{CommandTool, Output};

/// The members of a tool.
const MEMBERS: &[&str] = &[
    "name",
    "title",
    "description",
    "inputSchema",
    "outputSchema",
    "annotations",
    "icons",
    "_meta",
    "command",
    "stdin",
    "env",
    "cwd",
    "confine",
    "output",
    "file",
    "progress",
    "timeout",
    "concurrency",
    "exitCodes",
    "disabled",
];

/// The schema of a tool without arguments.
const NO_ARGUMENTS: &str = r#"{"type":"object","additionalProperties":false}"#;

/// The members of `annotations` that are `true` or `false`.
const HINTS: &[&str] = &["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];

/// An item of the list as it was read.
#[derive(Default)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) tool: Option<CommandTool>,
    pub(super) disabled: bool,
}

impl ToolReader<'_> {
    /// Reads a tool. Its problems are noted at their places.
    pub(super) fn read(&mut self, cursor: &Cursor<'_>) -> Item {
        let Some(members) = cursor.entries_of(MEMBERS) else { return Item::default() };
        let name = read_name(&members);
        let disabled = members.get("disabled").and_then(|value| value.flag("true or false")) == Some(true);
        if disabled {
            return Item { name, tool: None, disabled };
        }
        let tool = self.tool(cursor, &members, &name);
        Item { name, tool, disabled }
    }

    fn tool(&mut self, cursor: &Cursor<'_>, members: &Map<'_>, name: &str) -> Option<CommandTool> {
        let schema = input_schema(members);
        let known = properties(&schema);
        let output = read_output(members);
        let mut places = Places::new(&known, output.as_ref().is_some_and(is_file));
        let program = self.program(members, &mut places);
        places.finish(members);
        self.warn_of_unused(members, name, &places);
        let (progress, timeout) = (super::limits::progress(members), super::limits::timeout(members));
        let slots = super::limits::concurrency(members);
        let exit_codes = super::limits::exit_codes(members);
        let arguments = compile(members, "inputSchema", &schema)?;
        let entry = definition(members, name, &schema);
        let digest = Sha256::digest(format!("{}{:?}", cursor.to_json(), self.filled)).into();
        Some(CommandTool {
            name: name.to_owned(),
            entry: entry?,
            arguments,
            optional: optional(&known),
            defaults: defaults(known),
            program: program?,
            output: output?,
            progress,
            timeout,
            exit_codes,
            slots,
            secrets: std::mem::take(&mut self.secrets),
            digest,
        })
    }

    fn warn_of_unused(&mut self, members: &Map<'_>, name: &str, places: &Places<'_>) {
        let Some(schema) = members.get("inputSchema") else { return };
        for unused in places.unused() {
            self.warnings.push(format!(
                "line {} tool {name:?}: argument {unused:?} stands nowhere in \"command\" or \"stdin\"",
                schema.line()
            ));
        }
    }
}

fn is_file(output: &Output) -> bool {
    matches!(output, Output::File(_))
}

fn optional(known: &BTreeMap<String, Property>) -> Vec<String> {
    known.iter().filter(|(_, property)| !property.required).map(|(name, _)| name.clone()).collect()
}

fn defaults(known: BTreeMap<String, Property>) -> BTreeMap<String, std::sync::Arc<RawValue>> {
    known.into_iter().filter_map(|(name, property)| Some((name, property.default?))).collect()
}

fn read_name(members: &Map<'_>) -> String {
    let expected = "a tool's name: 1 to 128 letters, digits, \"_\", \"-\" or \".\"";
    let Some(cursor) = members.required("name", expected) else { return String::new() };
    let name = cursor.text(expected).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !name.is_empty() && (name.len() > MAX_TOOL_NAME || !name.chars().all(allowed)) {
        cursor.error(expected);
    }
    name.to_owned()
}

fn input_schema(members: &Map<'_>) -> String {
    members.get("inputSchema").map_or_else(|| NO_ARGUMENTS.to_owned(), |cursor| cursor.to_json())
}

fn compile(members: &Map<'_>, member: &str, json: &str) -> Option<Schema> {
    match (Schema::compile(json), members.get(member)) {
        (Ok(schema), _) => Some(schema),
        (Err(expected), Some(cursor)) => {
            cursor.error(expected);
            None
        }
        (Err(_), None) => None,
    }
}

fn read_output(members: &Map<'_>) -> Option<Output> {
    let schema = members.get("outputSchema").map(|cursor| cursor.to_json());
    let compiled = schema.as_ref().and_then(|json| compile(members, "outputSchema", json));
    let output = super::result::output(members, compiled);
    if let (Some(cursor), Some(Output::Text | Output::File(_))) = (members.get("outputSchema"), &output) {
        cursor.error("\"output: json\" where there is an \"outputSchema\"");
    }
    output
}

/// Returns the definition as clients see it.
fn definition(members: &Map<'_>, name: &str, schema: &str) -> Option<CatalogEntry> {
    let mut json = format!("{{\"name\":{}", serde_json::Value::from(name));
    let mut add = |member: &str, value: &str| {
        json.extend([",\"", member, "\":", value]);
    };
    for member in ["title", "description"] {
        if let Some(cursor) = members.get(member)
            && cursor.text("a text").is_some()
        {
            add(member, &cursor.to_json());
        }
    }
    add("inputSchema", schema);
    if let Some(cursor) = members.get("outputSchema") {
        add("outputSchema", &cursor.to_json());
    }
    if let Some(cursor) = members.get("annotations") {
        check_annotations(&cursor);
        add("annotations", &cursor.to_json());
    }
    if let Some(cursor) = members.get("icons") {
        cursor.items("a list of icons");
        add("icons", &cursor.to_json());
    }
    if let Some(cursor) = members.get("_meta") {
        cursor.entries("a mapping");
        add("_meta", &cursor.to_json());
    }
    json.push('}');
    RawValue::from_string(json).and_then(|definition| CatalogEntry::named(&definition)).ok()
}

fn check_annotations(cursor: &Cursor<'_>) {
    let known = [&["title"], HINTS].concat();
    let Some(members) = cursor.entries_of(&known) else { return };
    if let Some(title) = members.get("title") {
        title.text("a text");
    }
    for hint in HINTS {
        if let Some(value) = members.get(hint) {
            value.flag("true or false");
        }
    }
}
