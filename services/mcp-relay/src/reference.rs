//! Every variable of the program as text: for `--help`, `--env-help` and docs/CONFIGURATION.md.

use runtime::config::{AUDIT, EVERY, MODE, OUTBOUND, TRACES};
use runtime::env::{Var, reference};

/// All tables, in the order they are explained.
pub(crate) const TABLES: [&[Var]; 10] = [
    MODE,
    EVERY,
    OUTBOUND,
    proxy::config::VARIABLES,
    proxy::config::BALANCE_VARIABLES,
    proxy::config::BROKER_VARIABLES,
    slave::config::VARIABLES,
    slave::config::PASSED_ON,
    AUDIT,
    TRACES,
];

const TITLES: [&str; 10] = [
    "Mode",
    "Every mode",
    "Forward proxies (every mode)",
    "Proxy",
    "Proxy: queues and rate limits",
    "Proxy: OAuth broker",
    "Slave",
    "Handed on to mr-pilot (slave and standalone server)",
    "Audit (every mode)",
    "Traces (every mode)",
];

const INTROS: [&str; 10] = [
    "Read only where no subcommand sets the mode (`mcp-relay proxy`, `mcp-relay slave`).",
    "Read by the proxy, by slaves and by the standalone server.",
    "For networks that allow outbound connections only through a forward proxy: the link of a slave, HTTP backends, the OTLP collector and the keys of token issuers use it. See [Outbound connections through forward proxies](run/forward-proxies.md).",
    "Read by the proxy.",
    "Read by the proxy. The sections `pools:` and `limits:` of the `ROUTES` file override them for some tools, clients and slaves.",
    "Read by the proxy. See [OAuth broker](secure/broker.md).",
    "Read by slaves. The standalone server reads them too, except those about the proxy.",
    "The tool `review_merge_request` runs `mr-pilot` with these variables and a small safe environment only.",
    "The audit stream: connections, refusals and calls. See [Audit](operate/audit.md).",
    "OpenTelemetry's own variables; other variables of its specification are not read. See [Traces](operate/traces.md).",
];

const RULES: &str = "\
Empty is the same as unset, and spaces around a value do not count. Flags take 1, 0, true, false, yes or no.
Seconds may have a fraction. Port 0 takes any free port, and the log names it. All problems are reported at
once, each with variable, value (never that of a secret) and what was expected; the exit code is then 64.
`mcp-relay doctor` checks all of it, and what it leads to.";

/// Everything, for a terminal.
pub(crate) fn terminal() -> String {
    let mut text = format!("mcp-relay is configured by environment variables.\n\n{RULES}\n");
    for (title, table) in TITLES.iter().zip(TABLES) {
        text.push('\n');
        text.push_str(&reference::terminal(title, table));
    }
    text
}

/// Some of the tables, for the help of one subcommand.
pub(crate) fn chosen(titles: &[&str]) -> String {
    let wanted = TITLES.iter().zip(TABLES).filter(|(title, _)| titles.iter().any(|t| title.starts_with(t)));
    wanted.map(|(title, table)| reference::terminal(title, table)).collect::<Vec<_>>().join("\n")
}

/// docs/CONFIGURATION.md, whole.
pub(crate) fn markdown() -> String {
    let mut text = format!(
        "<!-- Generated: cargo run -q -p mcp-relay -- --env-help=markdown > docs/CONFIGURATION.md -->\n\n\
         # Configuration\n\nmcp-relay is configured by environment variables.\n\n{RULES}\n"
    );
    for ((title, intro), table) in TITLES.iter().zip(INTROS).zip(TABLES) {
        text.push('\n');
        text.push_str(&reference::markdown(title, intro, table));
    }
    text
}

#[cfg(test)]
mod tests {
    use runtime::env::Content;

    use super::*;

    #[test]
    fn the_document_is_the_one_that_the_code_generates() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CONFIGURATION.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == markdown(),
            "docs/CONFIGURATION.md differs from the code; regenerate it with\n  \
             cargo run -q -p mcp-relay -- --env-help=markdown > docs/CONFIGURATION.md"
        );
    }

    #[test]
    fn each_path_is_declared_as_one_and_those_of_secrets_as_such() {
        for var in TABLES.iter().copied().flatten() {
            let says_path = var.meaning.starts_with("Path of") || var.meaning.starts_with("PEM file");
            let is_path = var.content != Content::Setting;
            assert!(is_path || !(says_path || var.name.ends_with("_FILE")), "{} is no path", var.name);
            let subject = var.meaning.split([':', '.', ',', ';']).next().unwrap_or_default();
            let of_secrets =
                says_path && ["key", "code", "secret", "users"].iter().any(|word| subject.contains(word));
            assert!(!of_secrets || var.content == Content::SecretFile, "{} holds secrets", var.name);
        }
    }

    #[test]
    fn every_variable_is_declared_once_and_explained_everywhere() {
        let mut names: Vec<&str> = TABLES.iter().copied().flatten().map(|var| var.name).collect();
        let (terminal, markdown) = (terminal(), markdown());
        for name in &names {
            assert!(
                terminal.contains(&format!("\n  {name} [")) && markdown.contains(&format!("| `{name}` |")),
                "{name}"
            );
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "a variable is declared twice");
    }
}
