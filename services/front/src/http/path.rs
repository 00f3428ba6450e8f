//! Paths of resources: a slash at the end makes no difference. Must not know what is served.

/// Returns the path that a resource is known by: `path` itself, or `path` without the slash at its end. `None`: neither is
/// known. There is no redirect, because many clients of MCP follow none with a POST.
pub(crate) fn known_path(path: &str, is_known: impl Fn(&str) -> bool) -> Option<&str> {
    if is_known(path) {
        return Some(path);
    }
    path.strip_suffix('/').filter(|shorter| !shorter.is_empty() && is_known(shorter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slash_at_the_end_makes_no_difference() {
        let known = |path: &str| matches!(path, "/" | "/mcp" | "/messages/" | "/ui" | "/ui/");
        for (path, found) in [
            ("/mcp", Some("/mcp")),
            ("/mcp/", Some("/mcp")),
            ("/mcp//", None),
            ("/messages/", Some("/messages/")),
            ("/messages", None),
            ("/ui", Some("/ui")),
            ("/ui/", Some("/ui/")),
            ("/", Some("/")),
            ("//", Some("/")),
            ("", None),
            ("/other/", None),
        ] {
            assert_eq!(known_path(path, known), found, "{path}");
        }
    }
}
