//! What the rules would do with a call, and why, in words. Calls go by the same checks; only the words are made here.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::file::Routes;
use super::pool::tier_of;
use super::question::{Question, Who};
use super::rule::Rule;
use super::selector::{Selector, any_of};
use crate::links::Slave;

/// A call that is to be explained, not made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Its tool, as clients name it.
    pub tool: String,
    /// Its arguments, a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Box<RawValue>>,
    /// Its headers. Values of `Mcp-Param-*` as they are meant, not in Base64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Who makes it: a name of `clients:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// What would become of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// As it was asked for.
    pub tool: String,
    /// Whether slaves offer the tool now; `None` where there are no slaves to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<bool>,
    /// The rule that is for it; `None`: it goes to any slave that offers the tool.
    pub rule: Option<String>,
    /// The rules in their order, up to the one that is for it.
    pub considered: Vec<Considered>,
    /// Where it would go, in order of preference.
    pub tiers: Vec<Tier>,
    /// Slaves that offer the tool, and that the rule does not allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Seen>,
    /// Why it would be refused now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A rule that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// Its name.
    pub rule: String,
    /// Its line in the file; `None`: built in.
    pub line: Option<u64>,
    /// Whether it is for the call.
    pub matches: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Slaves of the same preference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// The labels that they have.
    pub labels: String,
    /// Those that there are now; `None` where there are no slaves to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slaves: Option<Vec<Seen>>,
}

/// A slave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it takes calls.
    pub ready: bool,
    /// Whether it gets calls only where no better one of its tier can take them.
    pub degraded: bool,
    /// Calls under way.
    pub calls: usize,
}

/// A tool's slaves as the directory has them.
#[derive(Clone, Copy)]
pub(crate) struct Offer<'a> {
    /// Their own name of the tool.
    pub(crate) own_name: &'a str,
    /// The slaves that are ready.
    pub(crate) members: &'a [Arc<Slave>],
}

/// Explains without slaves. The error says what cannot be understood.
pub fn explain(routes: &Routes, asked: &Asked) -> Result<Explanation, String> {
    judge(routes, asked, None)
}

/// Explains with the slaves that offer the tool now, none of them if nobody does.
pub(crate) fn explain_among(
    routes: &Routes,
    asked: &Asked,
    offer: Option<Offer<'_>>,
) -> Result<Explanation, String> {
    let members = offer.map_or(&[][..], |offer| offer.members);
    let own_name = offer.map_or(asked.tool.as_str(), |offer| offer.own_name);
    let mut explanation = judge(routes, asked, Some(Offer { own_name, members }))?;
    explanation.offered = Some(offer.is_some());
    if offer.is_none() {
        explanation.refused = Some(format!("no slave offers {:?} now", asked.tool));
    } else if explanation.tiers.iter().all(|tier| tier.slaves.as_ref().is_none_or(Vec::is_empty)) {
        explanation.refused = Some("no slave has the labels that the rule wants".into());
    }
    Ok(explanation)
}

fn judge(routes: &Routes, asked: &Asked, offer: Option<Offer<'_>>) -> Result<Explanation, String> {
    let (headers, params) = headers(&asked.headers)?;
    let message = message(asked);
    let who = match asked.client.as_deref() {
        Some(name) if routes.clients.contains_key(name) => Who::Named(name),
        Some(name) => return Err(format!("the routes have no client {name:?}")),
        None => Who::Anyone,
    };
    let call = Question::new(who, (&headers, &params), message.as_bytes());
    let names = [asked.tool.as_str(), offer.map_or(asked.tool.as_str(), |offer| offer.own_name)];
    let mut considered = Vec::new();
    let mut found = None;
    for rule in &routes.rules {
        let why = look_at(rule, names, &call);
        let matches = why.is_none();
        let line = Some(rule.line).filter(|line| *line != 0);
        considered.push(Considered { rule: rule.name.clone(), line, matches, why: why.unwrap_or_default() });
        if matches {
            found = Some(rule);
            break;
        }
    }
    let any = [vec![Selector::default()]];
    let wanted = found.map_or(&any[..], |rule| &rule.tiers);
    let (tiers, others) = tiers(wanted, offer);
    Ok(Explanation {
        tool: asked.tool.clone(),
        offered: None,
        rule: found.map(|rule| rule.name.clone()),
        considered,
        tiers,
        others,
        refused: None,
    })
}

/// Why a rule is not for the call; `None`: it is.
fn look_at(rule: &Rule, names: [&str; 2], call: &Question<'_>) -> Option<String> {
    if !rule.is_for_tool(names) {
        return Some(rule.explain_tool());
    }
    rule.check(call).err().map(|why| rule.explain(why, call))
}

/// The tiers with their slaves, and the slaves that are left.
fn tiers(wanted: &[Vec<Selector>], offer: Option<Offer<'_>>) -> (Vec<Tier>, Vec<Seen>) {
    let mut left: Vec<&Arc<Slave>> = offer.iter().flat_map(|offer| offer.members).collect();
    let tier = |selectors: &Vec<Selector>| {
        let slaves = tier_of(selectors, &mut left);
        Tier { labels: any_of(selectors), slaves: offer.map(|_| slaves.iter().map(|s| seen(s)).collect()) }
    };
    let tiers = wanted.iter().map(tier).collect();
    (tiers, left.into_iter().map(|slave| seen(slave)).collect())
}

fn seen(slave: &Slave) -> Seen {
    Seen {
        name: slave.name.clone(),
        labels: slave.grant().labels.clone(),
        ready: slave.accepts_calls(),
        degraded: slave.is_degraded(),
        calls: slave.active.in_flight(),
    }
}

/// Headers as the edge would hand them on.
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

fn message(asked: &Asked) -> String {
    let arguments = asked.arguments.as_deref().map_or("{}", RawValue::get);
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

    fn asked(tool: &str, arguments: &str, headers: &[(&str, &str)]) -> Asked {
        Asked {
            tool: tool.into(),
            arguments: Some(RawValue::from_string(arguments.into()).unwrap()),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            client: None,
        }
    }

    fn told(asked: &Asked) -> Explanation {
        let routes = Routes::parse(&FILE.replace("KEY", &client_digest("hush"))).unwrap();
        explain(&routes, asked).unwrap()
    }

    fn rule(asked: &Asked) -> Option<String> {
        told(asked).rule
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let ci = |tool| Asked { client: Some("ci".into()), ..asked(tool, "{}", &[]) };
        assert_eq!(rule(&ci("build_image")).as_deref(), Some("ci"));
        assert_eq!(rule(&ci("other")), None);
        let team = [("x-team", "a"), ("Mcp-Param-Region", "eu-west")];
        assert_eq!(rule(&asked("anything", "{}", &team)).as_deref(), Some("team"));
        assert_eq!(rule(&asked("anything", "{}", &[("x-team", "ab"), team[1]])), None);
        assert_eq!(rule(&asked("anything", "{}", &team[..1])), None);
        let url = r#"{"repository":{"url":"https://git.corp.example/x"}}"#;
        assert_eq!(rule(&asked("deploy", url, &[])).as_deref(), Some("repository"));
        assert_eq!(rule(&asked("build", url, &[])), None);
        assert_eq!(rule(&asked("build", r#"{"n":5}"#, &[])).as_deref(), Some("number"));
        assert_eq!(rule(&asked("build", r#"{"n":"5"}"#, &[])).as_deref(), Some("number"));
        assert_eq!(rule(&asked("build", r#"{"n":[5]}"#, &[])), None);
    }

    #[test]
    fn reasons_and_tiers_are_in_words() {
        let it = told(&asked("deploy", r#"{"repository":{"url":"https://x.example/"}}"#, &[("x-team", "c")]));
        let why: Vec<&str> = it.considered.iter().map(|one| one.why.as_str()).collect();
        assert_eq!(
            why,
            [
                "the client is not ci",
                "header x-team = \"c\" is not a text that matches /^(a|b)$/",
                "argument /repository/url = \"https://x.example/\" is not a URL on a host of *.corp.example",
                "argument /n is missing",
                "the tool is not \"review_merge_request\"",
                "the tool is not \"review_merge_request\"",
            ]
        );
        assert_eq!(it.considered[0].line, Some(5));
        assert_eq!(it.tiers, [Tier { labels: "any labels".into(), slaves: None }]);
        let ci = told(&Asked { client: Some("ci".into()), ..asked("deploy", "{}", &[]) });
        let labels: Vec<&str> = ci.tiers.iter().map(|tier| tier.labels.as_str()).collect();
        assert_eq!(labels, ["env=prod", "env=staging", "any labels"]);
        let review = told(&asked("review_merge_request", r#"{"mrUrlOrId":"1","project":"a/b"}"#, &[]));
        assert_eq!(review.rule.as_deref(), Some("review-github"));
        assert_eq!(review.considered[4].why, "the arguments are about github, not gitlab");
        assert_eq!(review.tiers[0].labels, "platform=github or no label platform");
    }

    #[test]
    fn what_cannot_be_asked_is_said() {
        let routes = Routes::default();
        let error = Asked { client: Some("x".into()), ..asked("t", "{}", &[]) };
        assert!(explain(&routes, &error).unwrap_err().contains("no client \"x\""));
        assert!(explain(&routes, &asked("t", "{}", &[("a b", "c")])).is_err());
        assert!(explain(&routes, &asked("t", "{}", &[("a", "c\n")])).is_err());
    }
}
