//! Roles of operators, and the commands for policy files.

use std::time::Duration;

use harness::http::{Exchange, request};
use harness::process::Process;
use harness::relay::Setup;
use hyper::Method;

use super::Files;

async fn code(process: &mut Process) -> i32 {
    process.exit(Duration::from_mins(1)).await.code().unwrap()
}

#[tokio::test]
async fn operators_read_what_their_role_is_for() {
    let files = Files::new(
        "operators: { metrics: { key: ci }, api: { key: ops }, ui: { key: [dev] } }\nallow: [{ who: anyone }]\n",
    );
    let proxy = files.proxy().env("UI", "1").start_proxy().await;
    let status = async |key: &str, path: &str| {
        let headers = vec![("authorization".to_owned(), format!("Bearer key-of-{key}"))];
        let mut exchange =
            Exchange::start(proxy.http, request(Method::GET, path, &headers, Vec::new())).await;
        exchange.head().await;
        exchange.status.as_u16()
    };
    // The page's role shows neither the log nor codes and rules.
    for (key, metrics, page, whole) in
        [("ci", 200, 403, 403), ("ops", 403, 200, 200), ("dev", 403, 200, 403), ("guest", 403, 403, 403)]
    {
        let found = (
            status(key, "/metrics").await,
            status(key, "/api/v1/status").await,
            status(key, "/api/v1/slaves").await,
            status(key, "/api/v1/catalog").await,
            status(key, "/api/v1/logs").await,
            status(key, "/api/v1/guards").await,
        );
        assert_eq!(found, (metrics, page, page, page, whole, whole), "{key}");
    }
}

#[tokio::test]
async fn a_bad_or_missing_policy_keeps_a_proxy_from_starting() {
    let files = Files::new("allow: [{ who: everyone }]\n");
    let mut bad = files.proxy().spawn();
    assert_eq!(code(&mut bad).await, 64);
    std::fs::remove_file(files.path("policy.yaml")).unwrap();
    let mut missing = files.proxy().spawn();
    assert_eq!(code(&mut missing).await, 64);
}

#[tokio::test]
async fn the_tests_of_a_file_are_run_and_decisions_explained() {
    let policy = "\
allow: [{ name: devs, who: { group: devs }, tools: 'git_*' }]
tests:
  - { who: { key: a, groups: [devs] }, tool: git_ls, expect: allow }
  - { who: nobody, tool: git_ls, expect: deny }
";
    let files = Files::new(policy);
    let run = async |args: &'static [&'static str]| {
        let path = files.path("policy.yaml").to_str().unwrap().to_owned();
        code(&mut Setup::bare("policy").args(args).env("POLICY", path).spawn()).await
    };
    assert_eq!(run(&["policy", "check"]).await, 0);
    assert_eq!(run(&["policy", "test"]).await, 0);
    assert_eq!(run(&["policy", "explain", "--group", "devs", "--tool", "git_push"]).await, 0);
    assert_eq!(run(&["policy", "explain", "--group", "devs"]).await, 64);
    files.write(&policy.replace("expect: deny", "expect: allow"));
    assert_eq!(run(&["policy", "test"]).await, 1);
    files.write("allow: 7\n");
    assert_eq!(run(&["policy", "check"]).await, 64);
}

#[tokio::test]
async fn a_file_without_tests_passes_none_of_them() {
    for policy in ["allow: [{ who: anyone }]\n", "allow: [{ who: anyone }]\ntests: []\n"] {
        let files = Files::new(policy);
        let path = files.path("policy.yaml").to_str().unwrap().to_owned();
        let setup = Setup::bare("policy").env("POLICY", path);
        let mut test = setup.clone().args(&["policy", "test"]).spawn();
        assert_eq!(code(&mut test).await, 64, "{policy}");
        test.log.wait_for("it has no tests").await;
        assert_eq!(code(&mut setup.args(&["policy", "check"]).spawn()).await, 0, "{policy}");
    }
}

#[test]
fn a_check_says_how_much_it_found() {
    let files = Files::new("allow: [{ who: anyone }]\nquotas: [{ name: all, who: anyone, calls: 5 }]\n");
    let mut command = std::process::Command::new(harness::process::binary());
    command.args(["policy", "check"]).env_clear().env("POLICY", files.path("policy.yaml"));
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(text.ends_with("policy.yaml: can be used (1 rules, 1 quotas, 0 tests)\n"), "{text}");
}

#[test]
fn an_explanation_names_the_quotas_and_rate_limits_of_the_client_and_the_tool() {
    let files = Files::new(
        "\
allow: [{ name: all, who: anyone, tools: '*' }]
quotas:
  - { name: of each, who: { key: ci }, calls: 200 }
  - { name: of all, who: anyone, tools: deploy, calls: 50, share: together }
  - { name: of others, who: { group: interns }, calls: 1 }
",
    );
    let routes = files.path("routes.yaml");
    std::fs::write(
        &routes,
        "clients: { ci: [key:ci] }\nlimits: { clients: { ci: 5/s }, tools: [{ tool: deploy, rate: 1/m }] }\n",
    )
    .unwrap();
    let explain = |args: &[&str], routes: Option<&std::path::Path>| {
        let mut command = std::process::Command::new(harness::process::binary());
        command.args(["policy", "explain"]).args(args).env_clear();
        command.env("POLICY", files.path("policy.yaml")).env("RATE_LIMIT_CLIENT", "7/s");
        let output = command.envs(routes.map(|path| ("ROUTES", path))).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = |args: &[&str], routes: Option<&std::path::Path>| {
        let text = explain(args, routes);
        let limits = text.lines().filter(|line| line.starts_with("quota") || line.starts_with("rate limit"));
        limits.map(str::to_owned).collect::<Vec<_>>()
    };
    let ci = ["--key", "ci", "--tool", "deploy"];
    assert_eq!(
        lines(&ci, Some(&routes)),
        [
            "quota \"of each\": 200 calls a day of this client alone, known by its key's name",
            "quota \"of all\": 50 calls a day of all its clients together",
            "rate limit: 5/s, this client's calls (limits.clients.ci of ROUTES)",
            "rate limit: 1/m, all clients' calls of this tool (limits.tools of ROUTES)",
        ]
    );
    assert_eq!(
        lines(&["--certificate", "ann", "--group", "interns", "--tool", "search"], None),
        [
            "quota \"of others\": 1 calls a day of this client alone, known by its certificate",
            "rate limit: 7/s, this client's calls (RATE_LIMIT_CLIENT)",
        ]
    );
    assert_eq!(
        lines(&["--key", "ci", "--method", "x/y"], None),
        ["rate limit: 7/s, this client's calls (RATE_LIMIT_CLIENT)"]
    );
    let json: serde_json::Value =
        serde_json::from_str(&explain(&[&ci[..], &["--json"]].concat(), None)).unwrap();
    assert_eq!(json["quotas"][1], serde_json::json!({ "quota": "of all", "calls": 50, "share": "together" }));
    assert_eq!(json["rateLimits"][0]["rate"], "7/s");
}
