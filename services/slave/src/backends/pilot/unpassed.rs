//! Variables of the slave that look meant for the CLI but do not reach it. Must not know values.

use crate::backends::environment::INHERITED;
use crate::config::TABLES;

/// Beginnings of the names of variables that the CLI, its language model or its runtime may be meant to read.
const PREFIXES: [&str; 12] = [
    "GITLAB_",
    "GITHUB_",
    "LLM_",
    "OPENROUTER_",
    "OPENAI_",
    "ANTHROPIC_",
    "AZURE_OPENAI_",
    "OLLAMA_",
    "GEMINI_",
    "NODE_",
    "DOTENV_",
    "MR_PILOT_",
];

/// Variables that images and the system set for others.
const FOREIGN: [&str; 2] = ["NODE_VERSION", "NODE_NAME"];

/// Names that a warning shows.
const MAX_SHOWN: usize = 20;

/// Returns a warning that names the variables among `names` that look meant for the CLI and are not among `passed`;
/// `None` if there are none.
pub(super) fn warning<'a>(
    names: impl Iterator<Item = &'a str>,
    passed: &[(String, runtime::secret::Secret)],
) -> Option<String> {
    let reaches = |name: &str| INHERITED.contains(&name) || passed.iter().any(|(known, _)| known == name);
    let declared = |name: &str| TABLES.iter().copied().flatten().any(|var| var.name == name);
    // Kubernetes adds variables for each Service.
    let foreign =
        |name: &str| FOREIGN.contains(&name) || name.contains("_SERVICE_") || name.contains("_PORT");
    let looks_meant = |name: &str| {
        let upper = name.to_ascii_uppercase();
        PREFIXES.iter().any(|prefix| upper.starts_with(prefix))
    };
    let mut found: Vec<&str> = names
        .filter(|name| looks_meant(name) && !reaches(name) && !declared(name) && !foreign(name))
        .collect();
    found.sort_unstable();
    let more = found.len().saturating_sub(MAX_SHOWN);
    found.truncate(MAX_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!found.is_empty()).then(|| {
        let names = found.join(", ");
        format!("These variables look meant for mr-pilot, which does not get them: {names}{more}. To pass them on, name them in MR_PILOT_ENV")
    })
}

#[cfg(test)]
mod tests {
    use runtime::secret::Secret;

    use super::*;

    #[test]
    fn names_that_look_meant_and_do_not_arrive_are_named() {
        let passed =
            [("GITLAB_TOKEN".to_owned(), Secret::new("hush")), ("NODE_OPTIONS".into(), Secret::new("x"))];
        let warn = |names: &[&'static str]| warning(names.iter().copied(), &passed);
        for quiet in [
            "PATH",
            "HTTPS_PROXY",
            "NODE_EXTRA_CA_CERTS",
            "GITLAB_TOKEN",
            "NODE_OPTIONS",
            "NODE_ENV",
            "NODE_VERSION",
            "MR_PILOT_COMMAND",
            "MR_PILOT_ENV",
            "LLM_MODEL",
            "GITLAB_SERVICE_HOST",
            "GITLAB_PORT_80_TCP",
            "SLAVE_CODE",
        ] {
            assert_eq!(warn(&[quiet]), None, "{quiet}");
        }
        for name in
            ["GITHUB_API", "LLM_TIMEOUT", "OPENAI_API_KEY", "gitlab_token", "NODE_TLS_REJECT_UNAUTHORIZED"]
        {
            let text = warn(&["PATH", name]).unwrap();
            assert!(text.contains(name) && text.contains("MR_PILOT_ENV") && !text.contains("PATH"), "{text}");
        }
        let many: Vec<String> = (0..30).map(|number| format!("LLM_X{number:02}")).collect();
        let text = warning(many.iter().map(String::as_str), &passed).unwrap();
        assert!(text.contains("LLM_X19 and 10 more") && !text.contains("LLM_X20"), "{text}");
    }
}
