//! `mcp-relay policy`: checks a policy file, explains what it decides, and runs its tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use policy::{
    Decision, Policy, PolicyError, PolicyFile, Probe, Quota, QuotaShare, Requester, RuleCheck, Side,
    SubjectKind, TestReport,
};
use proxy::config::Rate;
use proxy::routes::{LimitsRequest, RateLimit, explain_limits};
use runtime::env::Snapshot;
use serde_json::json;
use serde_json::value::RawValue;

use crate::cli::{ClientArgs, ExplainPolicy, PolicyArgs, PolicyCommand, PolicyOf, WhatArgs};
use crate::command_error::CommandError;
use crate::output::{Text, print};

/// Runs the command and returns the text to print.
pub(crate) fn run(command: PolicyCommand, snapshot: &Snapshot) -> Result<Text, CommandError> {
    match command {
        PolicyCommand::Check(args) => {
            let (path, policy) = read(&args, snapshot)?;
            let (rules, quotas, tests) = (policy.rules(), policy.quotas().len(), policy.run_tests().len());
            let found = format!("{rules} rules, {quotas} quotas, {tests} tests");
            Ok(format!("{}: can be used ({found})\n", path.display()).into())
        }
        PolicyCommand::Explain(args) => explain(*args, snapshot),
        PolicyCommand::Test(args) => test(&args, snapshot),
    }
}

fn read(args: &PolicyArgs, snapshot: &Snapshot) -> Result<(PathBuf, Arc<Policy>), CommandError> {
    let (variable, side) = match args.of {
        PolicyOf::Proxy => ("POLICY", Side::Proxy),
        PolicyOf::Slave => ("SLAVE_POLICY", Side::Slave),
    };
    let path = args.file.as_deref().or_else(|| snapshot.get(variable).map(Path::new));
    let path = path.ok_or_else(|| CommandError::Config(format!("{variable} is not set: name a file")))?;
    let file = PolicyFile::read(path, side).map_err(|error| {
        let reason = match &error {
            PolicyError::Unreadable(_) => error.to_string(),
            PolicyError::Bad(problems) => {
                let lines: Vec<String> = problems.0.iter().map(|one| format!("\n  {one}")).collect();
                format!("it needs correction{}", lines.concat())
            }
        };
        CommandError::Config(format!("{}: {reason}", path.display()))
    })?;
    Ok((file.path, file.policy))
}

fn explain(args: ExplainPolicy, snapshot: &Snapshot) -> Result<Text, CommandError> {
    let (_, policy) = read(&args.policy, snapshot)?;
    let (as_json, side) = (args.json, args.policy.of);
    let routes = args.routes.clone();
    let probe = probe(args)?;
    let rates = match side {
        PolicyOf::Proxy => rates(&probe, routes.as_deref(), snapshot)?,
        PolicyOf::Slave => Vec::new(),
    };
    let (decision, rules) = (policy.decide_probe(&probe), policy.check_rules(&probe));
    let by = decision.rule().and_then(|rule| policy.rule(rule)).map(|rule| rule.name);
    if as_json {
        let rule = |check: &RuleCheck| json!({ "rule": check.name, "line": check.line, "effect": check.effect, "why": check.mismatch });
        let all: Vec<_> = rules.iter().map(rule).collect();
        let scopes = decision.rule().map(|rule| policy.scopes_of(rule)).unwrap_or_default();
        let quota = |quota: &Quota| json!({ "quota": quota.name, "calls": quota.calls, "share": quota.share.as_str() });
        let quotas: Vec<_> = policy.quotas_of(&probe).map(quota).collect();
        let rate =
            |limit: &RateLimit| json!({ "of": limit.of, "rate": limit.rate.to_string(), "from": limit.from });
        let rates: Vec<_> = rates.iter().map(rate).collect();
        let text = json!({
            "decision": decision.as_str(), "rule": by, "scopes": scopes, "rules": all,
            "quotas": quotas, "rateLimits": rates,
        });
        return Ok(Text::json(&format!("{text:#}\n")));
    }
    let mut text = format!("{} {:?}: {}\n", probe.kind.as_str(), probe.name, meaning(decision));
    if let Some(name) = by {
        let _ = writeln!(text, "by the rule {name:?}");
    }
    for RuleCheck { name, line, effect, mismatch } in rules {
        let why = mismatch.unwrap_or("applies");
        let _ = writeln!(text, "  {effect} {name:?} (line {line}): {why}");
    }
    for quota in policy.quotas_of(&probe) {
        let _ = writeln!(text, "{}", quota_line(quota, &probe.client));
    }
    for RateLimit { of, rate, from } in rates {
        let whose = if of == "client" { "this client's calls" } else { "all clients' calls of this tool" };
        let _ = writeln!(text, "rate limit: {rate}, {whose} ({from})");
    }
    Ok(text.into())
}

/// Says how many calls a day a quota leaves whom.
fn quota_line(quota: &Quota, client: &Requester<'_>) -> String {
    let known_by = match client {
        Requester { subject: Some(_), .. } => "issuer and subject",
        Requester { key: Some(_), .. } => "its key's name",
        Requester { certificate, .. } if !certificate.is_empty() => "its certificate",
        _ => "its address",
    };
    let whose = match quota.share {
        QuotaShare::Each => format!("of this client alone, known by {known_by}"),
        QuotaShare::Together => "of all its clients together".to_owned(),
    };
    format!("quota {:?}: {} calls a day {whose}", quota.name, quota.calls)
}

/// Returns the rate limits that the request meets at a proxy with these variables.
fn rates(probe: &Probe, routes: Option<&Path>, snapshot: &Snapshot) -> Result<Vec<RateLimit>, CommandError> {
    let path = routes.or_else(|| snapshot.get("ROUTES").map(Path::new));
    let routes = path.map(crate::routes::read).transpose()?.unwrap_or_default();
    let rate = |variable: &str| {
        let read = snapshot.get(variable).map(Rate::parse).transpose();
        read.map_err(|expected| CommandError::Config(format!("{variable}: expected {expected}")))
    };
    let own = probe.own_name.as_ref().unwrap_or(&probe.name);
    let asked = LimitsRequest {
        key: probe.client.key.as_deref().map(str::to_owned),
        tool: (probe.kind == SubjectKind::Tool).then(|| [probe.name.clone(), own.clone()]),
        client_rate: rate("RATE_LIMIT_CLIENT")?,
        tool_rate: rate("RATE_LIMIT_TOOL")?,
    };
    Ok(explain_limits(&routes, &asked))
}

fn meaning(decision: Decision) -> &'static str {
    match decision {
        Decision::Allowed => "allow",
        Decision::Challenge(_) => "challenge: the client is asked for more scopes",
        Decision::Forbidden(_) => "forbidden: it is shown, but these arguments are not allowed",
        Decision::Hidden(Some(_)) => "deny: the client is told that there is no such entry",
        Decision::Hidden(None) => {
            "deny: no rule allows it, and the client is told that there is no such entry"
        }
    }
}

fn probe(args: ExplainPolicy) -> Result<Probe, CommandError> {
    let WhatArgs { tool, prompt, resource, method } = args.what;
    let what = [
        (SubjectKind::Tool, tool),
        (SubjectKind::Prompt, prompt),
        (SubjectKind::Resource, resource),
        (SubjectKind::Method, method),
    ];
    let mut named = what.into_iter().filter_map(|(kind, name)| Some((kind, name?)));
    let (kind, name) = named.next().ok_or_else(|| CommandError::Config("name what is asked for".into()))?;
    let label = |text: &String| {
        let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| CommandError::Config(format!("--label {text:?}: expected a name, = and a value")))
    };
    let labels = args.labels.iter().map(label).collect::<Result<BTreeMap<_, _>, _>>()?;
    Ok(Probe {
        client: client(args.client),
        kind,
        name,
        own_name: args.own_name,
        arguments: object("--arguments", args.arguments)?,
        annotations: object("--annotations", args.annotations)?,
        code: args.code,
        labels,
    })
}

fn client(args: ClientArgs) -> Requester<'static> {
    Requester {
        key: args.key.map(Into::into),
        issuer: args.issuer.map(Into::into),
        subject: args.subject.map(Into::into),
        groups: args.groups.into(),
        scopes: args.scopes.into(),
        certificate: args.certificates.into(),
    }
}

fn object(argument: &str, text: Option<String>) -> Result<Option<String>, CommandError> {
    let is_object =
        |text: &String| text.trim_start().starts_with('{') && RawValue::from_string(text.clone()).is_ok();
    match text {
        Some(text) if !is_object(&text) => {
            Err(CommandError::Config(format!("{argument}: expected a JSON object")))
        }
        text => Ok(text),
    }
}

fn test(args: &PolicyArgs, snapshot: &Snapshot) -> Result<Text, CommandError> {
    let (path, policy) = read(args, snapshot)?;
    let reports = policy.run_tests();
    if reports.is_empty() {
        let why = "it has no tests: add them in a section `tests:`, or use `mcp-relay policy check`";
        return Err(CommandError::Config(format!("{}: {why}", path.display())));
    }
    let failed = reports.iter().filter(|report| !report.passes()).count();
    let text: String = reports.iter().map(line).collect();
    if failed == 0 {
        return Ok(format!("{text}{}: {} tests pass\n", path.display(), reports.len()).into());
    }
    print(text);
    Err(CommandError::Failed(anyhow!("{}: {failed} of {} tests failed", path.display(), reports.len())))
}

fn line(report: &TestReport) -> String {
    let TestReport { name, line, expected, decided, rule } = report;
    let by = rule.as_ref().map(|rule| format!(" by the rule {rule:?}")).unwrap_or_default();
    if report.passes() {
        format!("ok      {name} (line {line}): {decided}{by}\n")
    } else {
        format!("FAILED  {name} (line {line}): expected {expected}, but the policy decides {decided}{by}\n")
    }
}
