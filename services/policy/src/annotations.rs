//! Annotations of a tool (MCP 2026-07-28, Tools, "Tool annotations"): what a server says of its own tool, so that rules may only deny by them.
//! Must not know tools' names.

use protocol::mcp::members::ExactMembers;
use serde_json::value::RawValue;

/// The annotations, with the specification's defaults where a tool does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a hint of its own")]
pub struct Annotations {
    /// `readOnlyHint`.
    pub read_only: bool,
    /// `destructiveHint`. A tool that only reads destroys nothing unless it says so.
    pub destructive: bool,
    /// `idempotentHint`.
    pub idempotent: bool,
    /// `openWorldHint`.
    pub open_world: bool,
}

impl Default for Annotations {
    fn default() -> Self {
        Self { read_only: false, destructive: true, idempotent: false, open_world: true }
    }
}

impl Annotations {
    /// Reads the annotations of a definition. One that is no flag counts as not given.
    pub fn of(definition: &RawValue) -> Self {
        let all = ExactMembers::of(definition).get(b"annotations").map(ExactMembers::of).unwrap_or_default();
        let flag = |name: &str| match all.get(name.as_bytes())?.get() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        let read_only = flag("readOnlyHint").unwrap_or(false);
        Self {
            read_only,
            destructive: flag("destructiveHint").unwrap_or(!read_only),
            idempotent: flag("idempotentHint").unwrap_or(false),
            open_world: flag("openWorldHint").unwrap_or(true),
        }
    }
}

/// Conditions on annotations, of which each that is given must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AnnotationMatch {
    pub(crate) read_only: Option<bool>,
    pub(crate) destructive: Option<bool>,
    pub(crate) idempotent: Option<bool>,
    pub(crate) open_world: Option<bool>,
}

impl AnnotationMatch {
    pub(crate) fn holds(self, of: Annotations) -> bool {
        let is = |wanted: Option<bool>, value: bool| wanted.is_none_or(|wanted| wanted == value);
        is(self.read_only, of.read_only)
            && is(self.destructive, of.destructive)
            && is(self.idempotent, of.idempotent)
            && is(self.open_world, of.open_world)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_does_not_say_is_what_the_specification_assumes() {
        let of = |text: &str| Annotations::of(&RawValue::from_string(text.to_owned()).unwrap());
        assert_eq!(of("{}"), Annotations::default());
        for text in ["{}", r#"{"annotations":null}"#, r#"{"annotations":{"readOnlyHint":"true"}}"#, "[]"] {
            assert_eq!(of(text), Annotations::default(), "{text}");
        }
        let read = of(r#"{"annotations":{"readOnlyHint":true}}"#);
        assert!(read.read_only && !read.destructive);
        assert!(of(r#"{"annotations":{"readOnlyHint":true,"destructiveHint":true}}"#).destructive);
        assert!(!of(r#"{"annotations":{"destructiveHint":false}}"#).destructive);
    }
}
