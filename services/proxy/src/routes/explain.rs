//! Explanations of what the rules would do with a call. Calls go through the same checks; only the words are made here.
//! Must not know what a slave is.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::file::Routes;
use super::labelled::Labelled;
use super::match_input::{ClientIdentity, MatchInput};
use super::review::Subject;
use super::review_number::{Ambiguous, select};
use super::route::take_selected;
use super::rule::{Condition, Rule};
use super::selector::{Selector, describe_alternatives};

/// A call to be explained.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// The clients' name of the tool.
    pub tool: String,
    /// Arguments, a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Box<RawValue>>,
    /// HTTP headers. Values of `Mcp-Param-*` are given decoded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The client that makes the call: a name of the section `clients:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// Which rule applies to a call, and which slaves may take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The tool of the request.
    pub tool: String,
    /// Whether slaves offer the tool now; `None` if no proxy was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<bool>,
    /// The rule that applies; `None`: any slave that offers the tool may take the call.
    pub rule: Option<String>,
    /// The rules in their order, up to the one that applies.
    pub considered: Vec<RuleCheck>,
    /// The slaves that may take the call, in order of preference.
    #[serde(rename = "tiers")]
    pub priorities: Vec<Priority>,
    /// Slaves that offer the tool and that the rule does not allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Observed>,
    /// Why the call would be refused now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The check of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCheck {
    /// Name of the rule.
    pub rule: String,
    /// Line in the file; `None`: built in.
    pub line: Option<u64>,
    /// Whether the rule applies to the call.
    pub matches: bool,
    /// Why it does not apply.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Slaves of one priority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priority {
    /// The labels that select them.
    pub labels: String,
    /// The present slaves; `None` if no proxy was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slaves: Option<Vec<Observed>>,
}

/// A slave as the proxy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Name of the slave.
    pub name: String,
    /// Labels in force.
    pub labels: BTreeMap<String, String>,
    /// Whether the slave takes calls.
    pub ready: bool,
    /// Whether the slave gets calls only where no healthy one of its priority can take them.
    pub degraded: bool,
    /// Calls under way.
    pub calls: usize,
}

/// Something that explanations show.
pub(crate) trait Observable: Labelled {
    /// Returns the present state.
    fn observe(&self) -> Observed;
}

/// A tool's entry in the directory.
pub(crate) struct Offered<'a, S> {
    /// The slaves' own name of the tool.
    pub(crate) own_name: &'a str,
    /// The slaves that offer it.
    pub(crate) members: &'a [Arc<S>],
}

/// The outcome of checking the rules in their order.
struct Checked<'a> {
    considered: Vec<RuleCheck>,
    /// The first rule that applies.
    rule: Option<&'a Rule>,
    /// What the arguments say, if they are those of a review.
    subject: Subject,
}

/// Explains a call without slaves. The error says which part of the request cannot be understood.
pub fn explain(routes: &Routes, request: &ExplainRequest) -> Result<Explanation, String> {
    let checked = check_rules(routes, request, &request.tool)?;
    let unobserved =
        |selectors: &Vec<Selector>| Priority { labels: describe_alternatives(selectors), slaves: None };
    let priorities = checked.selectors().iter().map(unobserved).collect();
    Ok(checked.explanation(request, priorities))
}

/// Explains a call with the slaves that offer the tool now; `offered` is `None` if no slave offers it. The error says which
/// part of the request cannot be understood.
pub(crate) fn explain_with_slaves<S: Observable>(
    routes: &Routes,
    request: &ExplainRequest,
    offered: Option<&Offered<'_, S>>,
) -> Result<Explanation, String> {
    let own_name = offered.map_or(request.tool.as_str(), |offered| offered.own_name);
    let checked = check_rules(routes, request, own_name)?;
    let mut remaining: Vec<&Arc<S>> = offered.iter().flat_map(|offered| offered.members).collect();
    let observed = |selectors: &Vec<Selector>| Priority {
        labels: describe_alternatives(selectors),
        slaves: Some(take_selected(selectors, &mut remaining).iter().map(|slave| slave.observe()).collect()),
    };
    let members = offered.map_or(&[][..], |offered| offered.members);
    let selectors = checked.selectors_among(members);
    let priorities: Vec<Priority> =
        selectors.as_ref().map_or_else(|_| Vec::new(), |all| all.iter().map(observed).collect());
    let refused = if let Err(ambiguous) = selectors {
        Some(ambiguous.advice().to_owned())
    } else if offered.is_none() {
        Some(format!("no slave offers {:?} now", request.tool))
    } else {
        let is_empty = priorities.iter().all(|priority| priority.slaves.as_ref().is_none_or(Vec::is_empty));
        is_empty.then(|| "no slave has the labels that the rule wants".into())
    };
    Ok(Explanation {
        offered: Some(offered.is_some()),
        others: remaining.into_iter().map(|slave| slave.observe()).collect(),
        refused,
        ..checked.explanation(request, priorities)
    })
}

fn check_rules<'a>(
    routes: &'a Routes,
    request: &ExplainRequest,
    own_name: &str,
) -> Result<Checked<'a>, String> {
    let (headers, params) = headers(&request.headers)?;
    let message = message(request);
    let client = match request.client.as_deref() {
        Some(name) if routes.clients.contains_key(name) => ClientIdentity::Named(name),
        Some(name) => return Err(format!("the routes have no client {name:?}")),
        None => ClientIdentity::Anonymous,
    };
    let call = MatchInput::new(client, &headers, &params, message.as_bytes());
    let mut considered = Vec::new();
    for rule in &routes.rules {
        let why = mismatch(rule, [request.tool.as_str(), own_name], &call);
        let (matches, line) = (why.is_none(), Some(rule.line).filter(|line| *line != 0));
        considered.push(RuleCheck { rule: rule.name.clone(), line, matches, why: why.unwrap_or_default() });
        if matches {
            return Ok(Checked { considered, rule: Some(rule), subject: Subject::of(&call) });
        }
    }
    Ok(Checked { considered, rule: None, subject: Subject::Unsaid })
}

/// Explains why a rule does not apply to the call; `None` if it does.
fn mismatch(rule: &Rule, names: [&str; 2], call: &MatchInput<'_>) -> Option<String> {
    if !rule.applies_to_tool(names) {
        return Some(rule.explain_tool());
    }
    rule.check(call).err().map(|why| rule.explain_mismatch(why, call))
}

impl Checked<'_> {
    /// Returns the selectors of the rule's priorities; without a rule one that selects every slave.
    fn selectors(&self) -> Vec<Vec<Selector>> {
        self.rule.map_or_else(|| vec![vec![Selector::default()]], |rule| rule.priorities.clone())
    }

    /// Returns the selectors of the rule's priorities among these slaves.
    fn selectors_among<S: Labelled>(&self, members: &[Arc<S>]) -> Result<Vec<Vec<Selector>>, Ambiguous> {
        match (self.rule.map(|rule| &rule.condition), self.subject) {
            (Some(Condition::ReviewNumber), Subject::Number(named)) => Ok(vec![select(named, members)?]),
            _ => Ok(self.selectors()),
        }
    }

    fn explanation(self, request: &ExplainRequest, priorities: Vec<Priority>) -> Explanation {
        Explanation {
            tool: request.tool.clone(),
            offered: None,
            rule: self.rule.map(|rule| rule.name.clone()),
            considered: self.considered,
            priorities,
            others: Vec::new(),
            refused: None,
        }
    }
}

/// Splits the headers into plain ones and decoded parameters, as the edge does.
fn headers(given: &BTreeMap<String, String>) -> Result<(HeaderMap, BTreeMap<String, String>), String> {
    let (mut headers, mut params) = (HeaderMap::new(), BTreeMap::new());
    for (name, value) in given {
        let name = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no name of a header"))?;
        if let Some(param) = name.as_str().strip_prefix("mcp-param-") {
            params.insert(param.to_owned(), value.clone());
        } else {
            let value = HeaderValue::try_from(value).map_err(|_| {
                format!("the value of header {name} has characters that headers must not have")
            })?;
            headers.append(name, value);
        }
    }
    Ok((headers, params))
}

/// Returns a request message with the arguments, which is all that rules read of one.
fn message(request: &ExplainRequest) -> String {
    let arguments = request.arguments.as_deref().map_or("{}", RawValue::get);
    format!(r#"{{"params":{{"arguments":{arguments}}}}}"#)
}

#[cfg(test)]
mod tests {
    use super::super::file::client_digest;
    use super::*;

    const FILE: &str = "
clients:
  ci: KEY
rules:
  - name: ci
    match: { client: ci, tool: [deploy, build_*] }
    to: { env: prod }
    fallback: [{ env: staging }, any]
  - name: team
    match: { header: [{ name: X-Team, regex: '^(a|b)$' }, { name: mcp-param-region, prefix: eu- }] }
    to: [{ team: [a, b], region: eu }, { team: null }]
  - name: repository
    match: { tool: deploy, argument: { pointer: /repository/url, host: '*.corp.example' } }
    to: { network: corp }
  - name: number
    match: { argument: { pointer: /n, equals: 5 } }
    to: any
";

    fn request(tool: &str, arguments: &str, headers: &[(&str, &str)]) -> ExplainRequest {
        ExplainRequest {
            tool: tool.into(),
            arguments: Some(RawValue::from_string(arguments.into()).unwrap()),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            client: None,
        }
    }

    fn describe(request: &ExplainRequest) -> Explanation {
        let routes = Routes::parse(&FILE.replace("KEY", &client_digest("hush"))).unwrap();
        explain(&routes, request).unwrap()
    }

    fn rule(request: &ExplainRequest) -> Option<String> {
        describe(request).rule
    }

    #[test]
    fn the_first_rule_that_matches_applies() {
        let ci = |tool| ExplainRequest { client: Some("ci".into()), ..request(tool, "{}", &[]) };
        assert_eq!(rule(&ci("build_image")).as_deref(), Some("ci"));
        assert_eq!(rule(&ci("other")), None);
        let team = [("x-team", "a"), ("Mcp-Param-Region", "eu-west")];
        assert_eq!(rule(&request("anything", "{}", &team)).as_deref(), Some("team"));
        assert_eq!(rule(&request("anything", "{}", &[("x-team", "ab"), team[1]])), None);
        assert_eq!(rule(&request("anything", "{}", &team[..1])), None);
        let url = r#"{"repository":{"url":"https://git.corp.example/x"}}"#;
        assert_eq!(rule(&request("deploy", url, &[])).as_deref(), Some("repository"));
        assert_eq!(rule(&request("build", url, &[])), None);
        assert_eq!(rule(&request("build", r#"{"n":5}"#, &[])).as_deref(), Some("number"));
        assert_eq!(rule(&request("build", r#"{"n":"5"}"#, &[])).as_deref(), Some("number"));
        assert_eq!(rule(&request("build", r#"{"n":[5]}"#, &[])), None);
    }

    #[test]
    fn mismatches_and_priorities_are_described() {
        let deploy = describe(&request(
            "deploy",
            r#"{"repository":{"url":"https://x.example/"}}"#,
            &[("x-team", "c")],
        ));
        let why: Vec<&str> = deploy.considered.iter().map(|check| check.why.as_str()).collect();
        assert_eq!(
            why,
            [
                "the client is not ci",
                "header x-team = \"c\" is not a text that matches /^(a|b)$/",
                "argument /repository/url = \"https://x.example/\" is not a URL on a host of *.corp.example",
                "argument /n is missing",
                "the tool is not \"review_merge_request\"",
                "the tool is not \"review_merge_request\"",
                "the tool is not \"review_merge_request\"",
            ]
        );
        assert_eq!(deploy.considered[0].line, Some(5));
        assert_eq!(deploy.priorities, [Priority { labels: "any labels".into(), slaves: None }]);
        let ci = describe(&ExplainRequest { client: Some("ci".into()), ..request("deploy", "{}", &[]) });
        let labels: Vec<&str> = ci.priorities.iter().map(|priority| priority.labels.as_str()).collect();
        assert_eq!(labels, ["env=prod", "env=staging", "any labels"]);
        let review = describe(&request("review_merge_request", r#"{"mrUrlOrId":"1","project":"a/b"}"#, &[]));
        assert_eq!(review.rule.as_deref(), Some("review-github"));
        assert_eq!(review.considered[4].why, "the arguments are about github, not gitlab");
        assert_eq!(review.priorities[0].labels, "platform=github or no label platform");
    }

    #[test]
    fn a_request_that_cannot_be_understood_is_refused() {
        let routes = Routes::default();
        let error = ExplainRequest { client: Some("x".into()), ..request("t", "{}", &[]) };
        assert!(explain(&routes, &error).unwrap_err().contains("no client \"x\""));
        assert!(explain(&routes, &request("t", "{}", &[("a b", "c")])).is_err());
        assert!(explain(&routes, &request("t", "{}", &[("a", "c\n")])).is_err());
    }
}
