//! User interfaces of tools (the extension MCP Apps, 2026-01-26): which resource a tool's definition names as its own. Must not know
//! who shows it.

use serde_json::value::RawValue;

use crate::mcp::members::ExactMembers;

/// Name of the extension. It means the same in both eras, and needs no request that the relay would have to carry.
pub const APPS: &str = "io.modelcontextprotocol/ui";

/// Scheme of user interfaces.
const SCHEME: &str = "ui://";

/// Returns the URI of the user interface that a tool's definition names: `_meta.ui.resourceUri`, or `_meta["ui/resourceUri"]`, as older
/// servers write it. Servers need not list such a resource.
pub fn interface_of(tool: &RawValue) -> Option<String> {
    // Most tools have none, and are not parsed.
    memchr::memmem::find(tool.get().as_bytes(), b"resourceUri")?;
    let meta = ExactMembers::of(ExactMembers::of(tool).get(b"_meta")?);
    let nested = meta.get(b"ui").and_then(|ui| ExactMembers::of(ui).get(b"resourceUri"));
    let uri: String = serde_json::from_str(nested.or_else(|| meta.get(b"ui/resourceUri"))?.get()).ok()?;
    uri.starts_with(SCHEME).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_names_its_interface_in_either_form_and_nothing_else() {
        for (tool, expected) in [
            (
                r#"{"name":"t","_meta":{"ui":{"resourceUri":"ui://a/b","visibility":["app"]}}}"#,
                Some("ui://a/b"),
            ),
            (r#"{"name":"t","_meta":{"ui":{"resourceUri":"ui:\/\/a"}}}"#, Some("ui://a")),
            (r#"{"name":"t","_meta":{"ui\/resourceUri":"ui://a"}}"#, Some("ui://a")),
            (r#"{"_meta":{"ui/resourceUri":"ui://old","ui":{"resourceUri":"ui://new"}}}"#, Some("ui://new")),
            (r#"{"_meta":{"ui":{"visibility":["app"]},"ui/resourceUri":"ui://a"}}"#, Some("ui://a")),
            (r#"{"_meta":{"ui":{"resourceUri":"file:///etc/passwd"}}}"#, None),
            (r#"{"_meta":{"ui":{"resourceUri":["ui://a"]}}}"#, None),
            (r#"{"_meta":{"ui":"resourceUri"}}"#, None),
            (r#"{"_meta":null,"description":"resourceUri ui://a"}"#, None),
            (r#"{"inputSchema":{"_meta":{"ui":{"resourceUri":"ui://a"}}}}"#, None),
            (r#"{"name":"t"}"#, None),
            (r#"["resourceUri"]"#, None),
        ] {
            let definition = RawValue::from_string(tool.to_owned()).unwrap();
            assert_eq!(interface_of(&definition).as_deref(), expected, "{tool}");
        }
    }
}
