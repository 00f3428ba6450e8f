//! Hints at variables that are set but probably misspelt. Knows no variable by name.

use super::{Group, Snapshot, Var};

/// Characters that a name has wrong at most if it is a misspelt one.
const MAX_DISTANCE: usize = 2;

/// Returns a warning for each set but undeclared variable whose name is close to that of a declared, unset variable.
///
/// Variables for other programs are left out (`GITHUB_API` is not a misspelt `GITLAB_API`), and so are the variables that
/// Kubernetes adds for a Service.
pub fn misspelt(snapshot: &Snapshot, known: &[&[Var]]) -> Vec<String> {
    let ours = || known.iter().copied().flatten();
    let candidates: Vec<&Var> =
        ours().filter(|var| var.group != Group::PassedOn && var.value_in(snapshot).is_none()).collect();
    let mut warnings = Vec::new();
    for name in snapshot.names() {
        let foreign = name.len() < 8 || name.contains("_SERVICE_") || name.contains("_PORT_");
        if foreign || ours().any(|var| var.is_named(name)) {
            continue;
        }
        let near = candidates.iter().filter_map(|var| Some((distance(name, var.name)?, var)));
        if let Some((_, var)) = near.min_by_key(|(distance, _)| *distance) {
            warnings.push(format!("{name} is not a variable of mcp-relay: was {} meant?", var.name));
        }
    }
    warnings
}

/// Returns the Levenshtein distance, ignoring case; `None` where it is more than [`MAX_DISTANCE`]. It is at least the difference of the
/// lengths, which tells most names apart at once: an environment may have hundreds.
fn distance(one: &str, other: &str) -> Option<usize> {
    let is_near = |distance: &usize| *distance <= MAX_DISTANCE;
    is_near(&one.chars().count().abs_diff(other.chars().count()))
        .then(|| strsim::levenshtein(&one.to_ascii_uppercase(), &other.to_ascii_uppercase()))
        .filter(is_near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Fallback;

    const TABLE: &[Var] = &[
        Var::new(Group::Proxy, "SLAVE_CODES", Fallback::Says("none"), "Codes.").secret(),
        Var::new(Group::Slave, "SLAVE_LABELS", Fallback::Says("none"), "Labels."),
        Var::new(Group::PassedOn, "GITLAB_API", Fallback::Says("none"), "URL."),
    ];

    #[test]
    fn near_names_are_reported_without_their_values() {
        let hints = |name: &str| misspelt(&Snapshot::of([(name, "hush")]), &[TABLE]);
        for (name, meant) in [
            ("SLAVES_CODES", "SLAVE_CODES"),
            ("SLAVE_LABLES", "SLAVE_LABELS"),
            ("slave_codes", "SLAVE_CODES"),
            ("SLAVE_CODES_X", "SLAVE_CODES"),
            ("AVE_CODES", "SLAVE_CODES"),
            ("SLÄVE_CÖDES", "SLAVE_CODES"),
        ] {
            let warnings = hints(name);
            assert_eq!(warnings.len(), 1, "{name}: {warnings:?}");
            assert!(warnings[0].contains(meant) && !warnings[0].contains("hush"), "{warnings:?}");
        }
        for name in
            ["GITHUB_API", "SLAVE_PORT", "SLAVE_SERVICE_HOST", "PATH", "SLAVE_CODES", "SLAVE_CODES_XY"]
        {
            assert!(hints(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_variable_that_is_set_is_not_suggested() {
        let both = Snapshot::of([("SLAVE_CODES", "a"), ("SLAVE_CODESX", "b")]);
        assert!(misspelt(&both, &[TABLE]).is_empty());
    }
}
