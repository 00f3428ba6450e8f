//! The tables of variables as text, for `--help` and for docs/CONFIGURATION.md, so that both agree with the code. Knows
//! no variable by name.

use std::fmt::Write;

use super::{Fallback, Secrecy, Var};

/// Width of help text, in characters.
const WIDTH: usize = 100;

/// Indentation of the meanings in help text, in characters.
const INDENT: usize = 6;

/// Formats a table for a terminal: name and default on one line, the meaning on the next.
pub fn terminal(title: &str, table: &[Var]) -> String {
    let mut text = format!("{title}:\n");
    for var in table {
        let default = match var.fallback {
            Fallback::Value(value) => format!("[default: {value}]"),
            Fallback::Says(what) => format!("[unset: {what}]"),
        };
        let secret = if var.secrecy == Secrecy::Secret { " [secret]" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {} {default}{secret}", var.name);
        for line in wrap(var.meaning, WIDTH - INDENT) {
            let _ = writeln!(text, "{:INDENT$}{line}", "");
        }
    }
    text
}

/// Formats a table in Markdown.
pub fn markdown(title: &str, intro: &str, table: &[Var]) -> String {
    let mut text = format!("## {title}\n\n{intro}\n\n| variable | default | meaning |\n|---|---|---|\n");
    for var in table {
        let default = match var.fallback {
            Fallback::Value(value) => format!("`{value}`"),
            Fallback::Says(what) => format!("*{what}*"),
        };
        let secret = if var.secrecy == Secrecy::Secret { " **Secret.**" } else { "" };
        let _ = writeln!(text, "| `{}` | {default} | {}{secret} |", var.name, escape(var.meaning));
    }
    text
}

/// Escapes characters that Markdown would read as formatting or as a column, except in code spans.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for (i, part) in text.split('`').enumerate() {
        if i > 0 {
            out.push('`');
        }
        if i % 2 == 1 {
            out.push_str(part);
        } else {
            out.push_str(
                &part.replace('*', "\\*").replace('<', "&lt;").replace('|', "\\|").replace("__", "\\_\\_"),
            );
        }
    }
    out
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines.last().is_some_and(|line| !line.is_empty() && line.len() + 1 + word.len() > width);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Group;

    const TABLE: &[Var] = &[
        Var::new(Group::Every, "X", Fallback::Value("1"), "Lists as `a|b` and * and a__b."),
        Var::new(Group::Every, "Y", Fallback::Says("none"), "Why.").secret(),
    ];

    #[test]
    fn terminal_text_names_default_and_secrecy() {
        assert_eq!(
            terminal("Every mode", TABLE),
            "Every mode:\n  X [default: 1]\n      Lists as `a|b` and * and a__b.\n  Y [unset: none] [secret]\n      Why.\n"
        );
    }

    #[test]
    fn markdown_is_escaped_outside_code_spans() {
        let text = markdown("T", "Intro.", TABLE);
        assert!(text.contains("| `X` | `1` | Lists as `a|b` and \\* and a\\_\\_b. |"), "{text}");
        assert!(text.contains("| `Y` | *none* | Why. **Secret.** |"), "{text}");
    }

    #[test]
    fn long_meanings_are_wrapped_at_words() {
        let lines = wrap(&"word ".repeat(50), 20);
        assert!(lines.len() > 5 && lines.iter().all(|line| line.len() <= 20), "{lines:?}");
        assert_eq!(lines.join(" "), "word ".repeat(50).trim());
    }
}
