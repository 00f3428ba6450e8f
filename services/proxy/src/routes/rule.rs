//! One routing rule: the calls that it applies to, and the labels of the slaves that take them. Must not know slaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::HeaderName;

use super::match_input::{ClientIdentity, MatchInput};
use super::pointer::{Pointer, scalar};
use super::review::{self, Platform, Subject};
use super::selector::{Selector, describe_alternatives};
use super::text::TextMatch;

/// Prefix of the headers that repeat arguments (MCP 2026-07-28, "Custom Headers from Tool Parameters").
const PARAM_PREFIX: &str = "mcp-param-";

/// Characters of a value that explanations show.
const MAX_SHOWN_VALUE: usize = 200;

/// A routing rule. The first rule that applies to a call decides where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(super) name: String,
    /// Line in the file; 0 for a built-in rule.
    pub(super) line: u64,
    /// The tool must match one of these; empty: every tool.
    pub(super) tools: Vec<TextMatch>,
    pub(super) condition: Condition,
    /// Alternative selectors of each priority, in order of preference. The first is `to`, the others are fallbacks.
    pub(super) priorities: Vec<Vec<Selector>>,
}

/// Condition on a call besides the tool's name.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// All of these must match.
    Given { clients: Option<ClientSet>, headers: Vec<Header>, argument: Option<Argument> },
    /// The review must be about this platform.
    Review(Platform),
    /// The review must be named by a number only.
    ReviewNumber,
}

/// Clients, one of which must have made the call.
#[derive(Clone, Debug)]
pub(super) struct ClientSet {
    pub(super) names: Vec<String>,
    pub(super) digests: BTreeSet<[u8; 32]>,
}

/// Condition on a header.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) name: HeaderName,
    pub(super) value: TextMatch,
}

/// Condition on an argument.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub(super) pointer: Pointer,
    pub(super) value: TextMatch,
}

/// Why a rule does not apply to a call. Without text, since only explanations need that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    Client,
    Header(usize),
    Argument,
    Subject,
}

impl Rule {
    /// Returns the rules that exist without any file.
    pub(super) fn built_in() -> impl Iterator<Item = Arc<Self>> {
        let rule = |name: String, condition, selectors| {
            let tools = vec![TextMatch::Equals(review::TOOL.to_owned())];
            Arc::new(Self { name, line: 0, tools, condition, priorities: vec![selectors] })
        };
        let by_platform = Platform::ALL.map(|platform| {
            rule(format!("review-{platform}"), Condition::Review(platform), platform.selectors())
        });
        // Which slaves it allows depends on what they say: `review_number`.
        let by_number = rule("review-number".to_owned(), Condition::ReviewNumber, vec![Selector::default()]);
        by_platform.into_iter().chain([by_number])
    }

    /// Whether the rule can apply to calls of this tool. `names` are the clients' and the slaves' name of it, so that a
    /// name made up for a collision does not evade a rule.
    pub(super) fn applies_to_tool(&self, names: [&str; 2]) -> bool {
        self.tools.is_empty() || self.tools.iter().any(|tool| names.iter().any(|name| tool.matches(name)))
    }

    /// Checks whether the rule applies to this call of such a tool.
    pub(super) fn check(&self, call: &MatchInput<'_>) -> Result<(), Mismatch> {
        match &self.condition {
            Condition::Review(platform) if Subject::of(call) == Subject::Of(*platform) => Ok(()),
            Condition::ReviewNumber if matches!(Subject::of(call), Subject::Number(_)) => Ok(()),
            Condition::Review(_) | Condition::ReviewNumber => Err(Mismatch::Subject),
            Condition::Given { clients, headers, argument } => {
                if clients.as_ref().is_some_and(|clients| !clients.contains(call.client)) {
                    return Err(Mismatch::Client);
                }
                if let Some(index) = headers.iter().position(|header| !header.matches(call)) {
                    return Err(Mismatch::Header(index));
                }
                match argument {
                    Some(argument) if !argument.matches(call) => Err(Mismatch::Argument),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Describes the labels of the slaves that the rule allows.
    pub(super) fn describe_labels(&self) -> String {
        if matches!(self.condition, Condition::ReviewNumber) {
            // Its labels have names of projects, which are not for clients.
            return "a default project for it".to_owned();
        }
        let labels = self.priorities.iter().map(|selectors| describe_alternatives(selectors));
        labels.collect::<Vec<_>>().join(", or else ")
    }

    /// Explains why the rule does not apply to a tool.
    pub(super) fn explain_tool(&self) -> String {
        let tools: Vec<String> = self.tools.iter().map(ToString::to_string).collect();
        format!("the tool is not {}", tools.join(" or "))
    }

    /// Explains why the rule does not apply to this call.
    pub(super) fn explain_mismatch(&self, why: Mismatch, call: &MatchInput<'_>) -> String {
        match (&self.condition, why) {
            (Condition::Given { clients: Some(clients), .. }, Mismatch::Client) => {
                format!("the client is not {}", clients.names.join(" or "))
            }
            (Condition::Given { headers, .. }, Mismatch::Header(index)) => {
                headers.get(index).map(|header| header.explain(call)).unwrap_or_default()
            }
            (Condition::Given { argument: Some(argument), .. }, Mismatch::Argument) => argument.explain(call),
            (Condition::Review(platform), _) => match Subject::of(call) {
                Subject::Of(other) => format!("the arguments are about {other}, not {platform}"),
                Subject::Number(Some(_)) => "the request is named by a number only".into(),
                _ => format!("the arguments do not say that it is about {platform}"),
            },
            (Condition::ReviewNumber, _) => "the request is not named by a number only".into(),
            _ => "it does not match".into(),
        }
    }
}

impl ClientSet {
    fn contains(&self, client: ClientIdentity<'_>) -> bool {
        match client {
            ClientIdentity::Key { identity, digest } => {
                self.digests.contains(&identity) || self.digests.contains(&digest)
            }
            ClientIdentity::Named(name) => self.names.iter().any(|known| known == name),
            ClientIdentity::Anonymous => false,
        }
    }
}

impl Header {
    /// Returns the values to be compared: of a `Mcp-Param-*` header the decoded one, of another header all of them.
    fn values<'a>(&'a self, call: &'a MatchInput<'_>) -> impl Iterator<Item = &'a str> {
        let param = self.name.as_str().strip_prefix(PARAM_PREFIX);
        let decoded = param.and_then(|name| call.params.get(name)).map(String::as_str);
        let raw = call.headers.get_all(&self.name).iter().filter(move |_| param.is_none());
        decoded.into_iter().chain(raw.filter_map(|value| value.to_str().ok()))
    }

    fn matches(&self, call: &MatchInput<'_>) -> bool {
        self.values(call).any(|value| self.value.matches(value))
    }

    fn explain(&self, call: &MatchInput<'_>) -> String {
        match self.values(call).next() {
            Some(value) => format!("header {} = {:?} is not {}", self.name, shorten(value), self.value),
            None => format!("header {} is missing", self.name),
        }
    }
}

impl Argument {
    fn matches(&self, call: &MatchInput<'_>) -> bool {
        let found = call.arguments().and_then(|arguments| self.pointer.find(arguments)).and_then(scalar);
        found.is_some_and(|text| self.value.matches(&text))
    }

    fn explain(&self, call: &MatchInput<'_>) -> String {
        let pointer = self.pointer.as_str();
        let found = call.arguments().and_then(|arguments| self.pointer.find(arguments));
        match found.map(scalar) {
            None => format!("argument {pointer} is missing"),
            Some(None) => format!("argument {pointer} is no text, number or flag"),
            Some(Some(text)) => format!("argument {pointer} = {:?} is not {}", shorten(&text), self.value),
        }
    }
}

/// Shortens a value for a message.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_SHOWN_VALUE).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
