//! `provide` of an entry: the tools that a code provides together with others or alone, and the definitions that it may give them.
//! Must not know slaves or catalogs.

use std::str::FromStr;

use protocol::mcp::canonical::DefinitionDigest;
use runtime::document::Cursor;
use runtime::document::fields::parse;
use runtime::glob::Glob;

/// How the holder of a code provides a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provided {
    /// Together with the other codes that provide it.
    Shared,
    /// Alone: the name is nobody else's, whether a slave of the code is linked or not.
    Exclusive,
}

/// An item of `provide`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Provision {
    pub(super) tool: Glob,
    pub(super) provided: Provided,
    /// Digests of which the tool's definition must have one. Empty: any definition.
    pub(super) digests: Vec<DefinitionDigest>,
}

/// Keys of an item.
const KEYS: [&str; 3] = ["tool", "exclusive", "digest"];

/// Reads the items at the cursor; problems are recorded.
pub(super) fn read(cursor: &Cursor<'_>) -> Vec<Provision> {
    cursor.one_or_many().iter().filter_map(item).collect()
}

/// Reads the name of a tool, or the beginning of names. Returns `None` after a problem was recorded.
pub(super) fn tool_pattern(cursor: &Cursor<'_>) -> Option<Glob> {
    parse(cursor, "the name of a tool, or the beginning of names with * at its end", Glob::name_or_beginning)
}

fn item(cursor: &Cursor<'_>) -> Option<Provision> {
    if cursor.is_text() {
        return Some(Provision {
            tool: tool_pattern(cursor)?,
            provided: Provided::Shared,
            digests: Vec::new(),
        });
    }
    let entries = cursor.entries_of(&KEYS)?;
    let tool = entries.required("tool", "the name of a tool").and_then(|tool| tool_pattern(&tool));
    let provided = match entries.get("exclusive") {
        Some(flag) => exclusive(&flag)?,
        None => Provided::Shared,
    };
    let pins = entries.get("digest").map(|digests| digests.one_or_more()).unwrap_or_default();
    let digests: Vec<DefinitionDigest> = pins.iter().filter_map(digest).collect();
    let prefix = tool.as_ref().filter(|tool| tool.exact_name().is_none());
    if let (Some(_), Some(pin)) = (prefix, pins.first()) {
        pin.error("no digest beside a prefix: each tool has a definition of its own");
    }
    Some(Provision { tool: tool?, provided, digests })
}

fn exclusive(cursor: &Cursor<'_>) -> Option<Provided> {
    let expected = "true or false";
    match cursor.scalar(expected)?.as_str() {
        "true" => Some(Provided::Exclusive),
        "false" => Some(Provided::Shared),
        _ => {
            cursor.error(expected);
            None
        }
    }
}

fn digest(cursor: &Cursor<'_>) -> Option<DefinitionDigest> {
    let expected = "sha256: and 64 hex digits in quotes, as mcp-relay digest prints them";
    parse(cursor, expected, |text| DefinitionDigest::from_str(text).ok())
}
