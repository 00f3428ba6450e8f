//! Scopes that a client is told to ask for. Must not know what needs them.

/// Bytes of the scopes that a token has already in a challenge, with the spaces between them.
const MAX_GRANTED: usize = 2048;

/// Returns the scopes of a challenge: those that the token has, so that the next one has no less (MCP 2026-07-28, Authorization, "Scope
/// Challenge Handling"), and those that are needed. Where the token's are too many for a header, those that are needed alone.
pub fn challenged(granted: &[String], needed: &[String]) -> Vec<String> {
    let size: usize = granted.iter().map(|scope| scope.len() + 1).sum();
    let kept = if size <= MAX_GRANTED { granted } else { &[] };
    let mut scopes = Vec::with_capacity(kept.len() + needed.len());
    for scope in kept.iter().chain(needed) {
        if !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_keeps_what_the_token_has_unless_that_is_too_much() {
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(challenged(&of(&["mcp", "a"]), &of(&["a", "b"])), of(&["mcp", "a", "b"]));
        assert_eq!(challenged(&[], &of(&["b", "b"])), of(&["b"]));
        let many: Vec<String> = (0..1000).map(|number| format!("scope-{number}")).collect();
        assert_eq!(challenged(&many, &of(&["b"])), of(&["b"]));
    }
}
