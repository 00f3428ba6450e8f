//! The members of a tool that say what its result is: `output`, `file`. Must not know how results are made.

use runtime::document::Map;

use crate::backends::commands::schema::Schema;
use crate::backends::commands::tool::{Output, OutputFile};

/// The name of a file that the tool gives none.
const DEFAULT_NAME: &str = "output";

/// Bytes of the longest name.
const MAX_NAME: usize = 128;

/// Returns what becomes of the output; `text` without the member.
pub(super) fn output(members: &Map<'_>, schema: Option<Schema>) -> Option<Output> {
    let expected = "text, json or file";
    let kind = members.get("output").map_or(Some("text"), |cursor| cursor.text(expected));
    if let (Some(cursor), true) = (members.get("file"), kind != Some("file")) {
        cursor.error("\"output: file\" where there is a \"file\"");
    }
    match kind? {
        "text" => Some(Output::Text),
        "json" => Some(Output::Json(schema)),
        "file" => file(members).map(Output::File),
        _ => {
            if let Some(cursor) = members.get("output") {
                cursor.error(expected);
            }
            None
        }
    }
}

fn file(members: &Map<'_>) -> Option<OutputFile> {
    let plain = OutputFile { name: DEFAULT_NAME.to_owned(), mime_type: None };
    let Some(cursor) = members.get("file") else { return Some(plain) };
    let members = cursor.entries_of(&["name", "mimeType"])?;
    let mut file = plain;
    if let Some(cursor) = members.get("name") {
        let expected = "a file's name without a folder, for example chart.png";
        let name = cursor.text(expected)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.starts_with(['.', '-']) || name.len() > MAX_NAME || !name.chars().all(allowed) {
            cursor.error(expected);
        }
        name.clone_into(&mut file.name);
    }
    if let Some(cursor) = members.get("mimeType") {
        let expected = "a media type, for example image/png";
        let text = cursor.text(expected)?;
        let token = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
        };
        if !text.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype)) {
            cursor.error(expected);
        }
        file.mime_type = Some(text.to_ascii_lowercase());
    }
    Some(file)
}
