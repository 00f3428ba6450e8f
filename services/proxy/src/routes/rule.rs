//! One rule: what it asks of a call, and where it sends it. Must not know slaves but by their labels.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::HeaderName;

use super::pointer::{Pointer, scalar};
use super::question::{Question, Who};
use super::review::{self, Platform};
use super::selector::{Selector, Wanted, any_of};
use super::text::TextMatch;

/// Beginning of the headers that repeat arguments (2026-07-28, "Custom Headers from Tool Parameters").
const PARAM: &str = "mcp-param-";

/// A rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(super) name: String,
    /// In the file; 0 for a built-in one.
    pub(super) line: u64,
    /// Any of them; none: every tool.
    pub(super) tools: Vec<TextMatch>,
    pub(super) condition: Condition,
    /// In order of preference, each with its selectors. The first is `to`, the others are fallbacks.
    pub(super) tiers: Vec<Vec<Selector>>,
}

/// What must hold besides the tool's name.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// All of these.
    Given { clients: Option<Clients>, headers: Vec<Header>, argument: Option<Argument> },
    /// The review is about this platform.
    Review(Platform),
}

/// Any of these clients.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    pub(super) names: Vec<String>,
    pub(super) digests: BTreeSet<[u8; 32]>,
}

/// A header that must be there.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) name: HeaderName,
    pub(super) wanted: TextMatch,
}

/// An argument that must be there.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub(super) pointer: Pointer,
    pub(super) wanted: TextMatch,
}

/// Why a rule is not for a call. Says nothing in words: that costs, and only explanations want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    Client,
    Header(usize),
    Argument,
    Platform,
}

impl Rule {
    /// The rules that are there without any file.
    pub(super) fn built_in() -> impl Iterator<Item = Arc<Self>> {
        Platform::ALL.into_iter().map(|platform| {
            let named = Wanted::OneOf(vec![platform.as_str().to_owned()]);
            let tier = [named, Wanted::Absent].map(|wanted| Selector::label(review::LABEL, wanted)).to_vec();
            Arc::new(Self {
                name: format!("review-{platform}"),
                line: 0,
                tools: vec![TextMatch::Equals(review::TOOL.to_owned())],
                condition: Condition::Review(platform),
                tiers: vec![tier],
            })
        })
    }

    /// Whether it can be for this tool at all. One of the names is the slaves' own, so that a name made up for a
    /// collision is no way around a rule.
    pub(super) fn is_for_tool(&self, names: [&str; 2]) -> bool {
        self.tools.is_empty() || self.tools.iter().any(|tool| names.iter().any(|name| tool.matches(name)))
    }

    /// Whether it is for this call of such a tool.
    pub(super) fn check(&self, call: &Question<'_>) -> Result<(), Mismatch> {
        match &self.condition {
            Condition::Review(platform) if Platform::of(call) == Some(*platform) => Ok(()),
            Condition::Review(_) => Err(Mismatch::Platform),
            Condition::Given { clients, headers, argument } => {
                if clients.as_ref().is_some_and(|clients| !clients.have(call.who)) {
                    return Err(Mismatch::Client);
                }
                if let Some(at) = headers.iter().position(|header| !header.holds(call)) {
                    return Err(Mismatch::Header(at));
                }
                match argument {
                    Some(argument) if !argument.holds(call) => Err(Mismatch::Argument),
                    _ => Ok(()),
                }
            }
        }
    }

    /// The labels that it wants, in words.
    pub(super) fn wanted(&self) -> String {
        self.tiers.iter().map(|tier| any_of(tier)).collect::<Vec<_>>().join(", or else ")
    }

    /// Why it is not for tools of this name.
    pub(super) fn explain_tool(&self) -> String {
        let tools: Vec<String> = self.tools.iter().map(ToString::to_string).collect();
        format!("the tool is not {}", tools.join(" or "))
    }

    /// Why it is not for this call.
    pub(super) fn explain(&self, why: Mismatch, call: &Question<'_>) -> String {
        match (&self.condition, why) {
            (Condition::Given { clients: Some(clients), .. }, Mismatch::Client) => {
                format!("the client is not {}", clients.names.join(" or "))
            }
            (Condition::Given { headers, .. }, Mismatch::Header(at)) => {
                headers.get(at).map(|header| header.explain(call)).unwrap_or_default()
            }
            (Condition::Given { argument: Some(argument), .. }, Mismatch::Argument) => argument.explain(call),
            (Condition::Review(platform), _) => match Platform::of(call) {
                Some(other) => format!("the arguments are about {other}, not {platform}"),
                None => format!("the arguments do not say that it is about {platform}"),
            },
            _ => "it does not match".into(),
        }
    }
}

impl Clients {
    fn have(&self, who: Who<'_>) -> bool {
        match who {
            Who::Key(digest) => self.digests.contains(&digest),
            Who::Named(name) => self.names.iter().any(|known| known == name),
            Who::Anyone => false,
        }
    }
}

impl Header {
    /// `Mcp-Param-*` headers count as modern clients mean them; of others any value will do.
    fn values<'a>(&'a self, call: &'a Question<'_>) -> impl Iterator<Item = &'a str> {
        let param = self.name.as_str().strip_prefix(PARAM);
        let decoded = param.and_then(|name| call.params.get(name)).map(String::as_str);
        let as_sent = call.headers.get_all(&self.name).iter().filter(move |_| param.is_none());
        decoded.into_iter().chain(as_sent.filter_map(|value| value.to_str().ok()))
    }

    fn holds(&self, call: &Question<'_>) -> bool {
        self.values(call).any(|value| self.wanted.matches(value))
    }

    fn explain(&self, call: &Question<'_>) -> String {
        match self.values(call).next() {
            Some(value) => format!("header {} = {:?} is not {}", self.name, cut(value), self.wanted),
            None => format!("header {} is missing", self.name),
        }
    }
}

impl Argument {
    fn holds(&self, call: &Question<'_>) -> bool {
        let found = call.arguments().and_then(|arguments| self.pointer.find(arguments)).and_then(scalar);
        found.is_some_and(|text| self.wanted.matches(&text))
    }

    fn explain(&self, call: &Question<'_>) -> String {
        let pointer = self.pointer.as_str();
        let found = call.arguments().and_then(|arguments| self.pointer.find(arguments));
        match found.map(scalar) {
            None => format!("argument {pointer} is missing"),
            Some(None) => format!("argument {pointer} is no text, number or flag"),
            Some(Some(text)) => format!("argument {pointer} = {:?} is not {}", cut(&text), self.wanted),
        }
    }
}

/// For a message.
fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(200).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
