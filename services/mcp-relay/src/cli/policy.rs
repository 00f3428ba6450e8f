//! Arguments and help of `mcp-relay policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Subcommands of `mcp-relay policy`.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check that a proxy or slave can use a policy file
    #[command(long_about = CHECK_ABOUT, after_long_help = CHECK_HELP)]
    Check(PolicyArgs),
    /// Explain what a policy decides on a request, and by which rule
    #[command(long_about = EXPLAIN_ABOUT, after_long_help = EXPLAIN_HELP)]
    Explain(Box<ExplainPolicy>),
    /// Run the tests in a policy file
    #[command(long_about = TEST_ABOUT, after_long_help = TEST_HELP)]
    Test(PolicyArgs),
}

/// Whose policy a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyOf {
    /// A proxy's (POLICY)
    Proxy,
    /// A slave's (`SLAVE_POLICY`)
    Slave,
}

/// The file that a command is about.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct PolicyArgs {
    /// File [default: the file that POLICY or `SLAVE_POLICY` names]
    pub(crate) file: Option<PathBuf>,
    /// Whose policy it is
    #[arg(long = "of", value_name = "WHOSE", default_value = "proxy")]
    pub(crate) of: PolicyOf,
}

/// Arguments of `mcp-relay policy explain`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct ExplainPolicy {
    /// File and whose it is.
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    /// The client.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// What it asks for.
    #[command(flatten)]
    pub(crate) what: WhatArgs,
    /// The slaves' own name, if it is another
    #[arg(long, value_name = "NAME")]
    pub(crate) own_name: Option<String>,
    /// Arguments of the call, a JSON object
    #[arg(long, value_name = "JSON")]
    pub(crate) arguments: Option<String>,
    /// Annotations of the tool, a JSON object
    #[arg(long, value_name = "JSON")]
    pub(crate) annotations: Option<String>,
    /// Name of the slave's code
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) code: String,
    /// A label of the slave; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(crate) labels: Vec<String>,
    /// File of routes with rate limits [default: the file that ROUTES names]
    #[arg(long, value_name = "FILE")]
    pub(crate) routes: Option<PathBuf>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// The client of a request; without any of these one that has shown nothing.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct ClientArgs {
    /// Name of the client's key
    #[arg(long, value_name = "NAME")]
    pub(crate) key: Option<String>,
    /// Issuer of the client's token
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,
    /// Subject of the client's token
    #[arg(long, value_name = "TEXT")]
    pub(crate) subject: Option<String>,
    /// A group of the client; may be given several times
    #[arg(long = "group", value_name = "NAME")]
    pub(crate) groups: Vec<String>,
    /// A scope of the client's token; may be given several times
    #[arg(long = "scope", value_name = "NAME")]
    pub(crate) scopes: Vec<String>,
    /// A name in the client's certificate; may be given several times
    #[arg(long = "certificate", value_name = "NAME")]
    pub(crate) certificates: Vec<String>,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhatArgs {
    /// Tool, as clients name it
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// Prompt, as clients name it
    #[arg(long)]
    pub(crate) prompt: Option<String>,
    /// URI of a resource
    #[arg(long, value_name = "URI")]
    pub(crate) resource: Option<String>,
    /// Method of an extension
    #[arg(long)]
    pub(crate) method: Option<String>,
}

pub(super) const ABOUT: &str = "\
The rules of who may use what, in the YAML file that POLICY (of a proxy) or SLAVE_POLICY (of a slave) names.
docs/secure/policy.md has the file's format and examples.";

pub(super) const HELP: &str = "\
Examples:
  mcp-relay policy check policy.yaml
  mcp-relay policy explain policy.yaml --key ci --tool deploy --arguments '{\"env\":\"production\"}'
  mcp-relay policy test policy.yaml

Exit codes:
  0   done
  1   a test failed
  64  the file or the command line needs correction";

/// Puts the variables of these commands in front of the rest of a help.
macro_rules! with_variables {
    ($rest:literal) => {
        concat!(
            "\
Variables:
  POLICY [default: every client may use everything]
  SLAVE_POLICY [default: every call is accepted]

",
            $rest
        )
    };
}

const CHECK_ABOUT: &str = "\
Reads a policy file as a proxy or slave does at its start. Prints every problem with its line, place, value and what
was expected.";

const CHECK_HELP: &str = with_variables!(
    "\
Example:
  mcp-relay policy check policy.yaml

Exit codes:
  0   the file can be used
  64  the file needs correction"
);

const EXPLAIN_ABOUT: &str = "\
Explains what a policy decides on a request, without making it: allow, challenge (a scope is missing), forbidden (not
with these arguments), or deny (the client is told that there is no such entry). Lists all rules, and why each does not
apply; and of a proxy's policy the quotas and rate limits that the request counts against.";

const EXPLAIN_HELP: &str = with_variables!(
    "\
Example:
  mcp-relay policy explain policy.yaml --subject 7 --issuer https://id.example --group dev --tool git_push --code git

Exit codes:
  0   the decision is explained, whatever it is
  64  the file or the command line needs correction"
);

const TEST_ABOUT: &str = "\
Runs the tests of the section `tests:` of a policy file, each of which names a client, a request and the expected
decision.";

const TEST_HELP: &str = with_variables!(
    "\
Example:
  mcp-relay policy test policy.yaml

Exit codes:
  0   all tests pass
  1   a test failed
  64  the file needs correction, or has no tests"
);
