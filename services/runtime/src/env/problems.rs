//! The error that contains all problems of a configuration. Knows no variable by name.

use std::fmt;

/// A variable that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the variable.
    pub name: String,
    /// The value as messages may show it: quoted, `(value not shown)`, or `(not set)`.
    pub shown: String,
    /// Expectation, to be read after the word "expected".
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, shown, expected } = self;
        write!(f, "{name} {shown}: expected {expected}")
    }
}

/// All problems of one configuration, in the order of the table. Never empty when returned as an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The part that was configured, for example `proxy`.
    pub subject: &'static str,
    /// The problems, at most one for each variable.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.list.len();
        let noun = if count == 1 { "environment variable needs" } else { "environment variables need" };
        writeln!(f, "mcp-relay cannot start ({}): {count} {noun} correction", self.subject)?;
        for problem in &self.list {
            writeln!(f, "  {problem}")?;
        }
        write!(f, "Correct all of them and start again; `mcp-relay --env-help` explains every variable.")
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_has_a_line_between_headline_and_advice() {
        let problem =
            |name: &str| Problem { name: name.into(), shown: "= \"x\"".into(), expected: "a port".into() };
        let text = Problems { subject: "proxy", list: vec![problem("A"), problem("B")] }.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "mcp-relay cannot start (proxy): 2 environment variables need correction");
        assert_eq!(lines[1], "  A = \"x\": expected a port");
        assert_eq!(lines[2], "  B = \"x\": expected a port");
        assert!(lines[3].contains("--env-help"));
    }
}
