//! Routing: reviews by platform, and the rules of the operator's file by header, client and argument.

mod command;
mod moved;
mod number;
mod reload;
mod rules;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use harness::answer::Answer;
use harness::client::Client;
use harness::http::{Exchange, request};
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Path of the proxy's explanations.
const EXPLAIN: &str = "/api/v1/routes/explain";

const TOOL: &str = "review_merge_request";

/// A proxy, and slaves whose stand-in `mr-pilot` reports the slave that ran it.
struct Fleet {
    folder: TempDir,
    proxy: Proxy,
    slaves: Vec<Slave>,
    /// A key that the proxy accepts.
    key: Option<&'static str>,
}

impl Fleet {
    /// A proxy with this `ROUTES` file, if any.
    async fn with(routes: Option<&str>) -> Self {
        Self::with_keys(routes, &[]).await
    }

    /// A proxy that requires one of these keys of its clients.
    async fn with_keys(routes: Option<&str>, keys: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Raw slaves answer no pings while the test does not read.
        let mut setup = Setup::proxy().env("LINK_PING_TIMEOUT_MS", "60000");
        setup = setup.env("AUTH_BEARER_KEYS", keys.join(","));
        if let Some(text) = routes {
            let path = folder.path().join("routes.yaml");
            std::fs::write(&path, text).unwrap();
            setup = setup.env("ROUTES", path.to_str().unwrap());
        }
        let key = keys.first().copied();
        Self { proxy: setup.start_proxy().await, folder, slaves: Vec::new(), key }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("routes.yaml")
    }

    /// Replaces the file by a rename, as editors and config maps do.
    fn rewrite(&self, text: &str) {
        let new = self.file().with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    /// Adds a slave and waits until calls can reach it.
    async fn add(&mut self, name: &str, labels: &str) {
        self.add_with(name, labels, &[]).await;
    }

    /// Adds a slave with further variables and waits until calls can reach it.
    async fn add_with(&mut self, name: &str, labels: &str, variables: &[(&str, &str)]) {
        let pilot = self.folder.path().join(format!("pilot-{name}"));
        let report = format!(
            "#!/bin/sh\ncat <<'END'\n====\nMR REVIEW REPORT\n====\nGoal Status: MET\nQuality Score: 1/100\n\n\
             No issues found\nRemarks:\n   {name}\n====\nEND\n"
        );
        std::fs::write(&pilot, report).unwrap();
        std::fs::set_permissions(&pilot, std::fs::Permissions::from_mode(0o755)).unwrap();
        let setup = Setup::slave(name, self.proxy.link).env("DEMO_TOOLS", "0");
        let setup = setup.env("MR_PILOT_COMMAND", pilot.to_str().unwrap()).env("SLAVE_LABELS", labels);
        let setup = setup.env("MR_PILOT_HOSTS", "gitlab.com,github.com,git.corp.example");
        let setup = variables.iter().fold(setup, |setup, (key, value)| setup.env(key, *value));
        self.slaves.push(setup.start_slave().await);
        let ask = json!({ "tool": TOOL });
        wait::until(&format!("{name} among the tool's slaves"), async || {
            let (_, explanation) = self.explain(&ask).await;
            explanation.to_string().contains(&format!("\"name\":\"{name}\"")).then_some(())
        })
        .await;
    }

    /// The proxy's explanation of such a call.
    async fn explain(&self, asked: &Value) -> (u16, Value) {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        headers.extend(self.key.map(|key| ("authorization".to_owned(), format!("Bearer {key}"))));
        let request = request(Method::POST, EXPLAIN, &headers, asked.to_string().into_bytes());
        let mut exchange = Exchange::start(self.proxy.http, request).await;
        exchange.head().await;
        let body = exchange.rest().await;
        (exchange.status.as_u16(), serde_json::from_slice(&body).expect("JSON"))
    }

    fn client(&self) -> Client {
        let client = Client::modern(self.proxy.http);
        match self.key {
            Some(key) => client.with_header("authorization", &format!("Bearer {key}")),
            None => client,
        }
    }
}

/// The slave that ran the call.
fn ran_on(answer: &Answer) -> String {
    answer.result()["structuredContent"]["remarks"].as_str().expect("remarks").trim().to_owned()
}

async fn review(client: &Client, arguments: &Value) -> String {
    ran_on(&client.call(TOOL, arguments.clone()).await)
}

/// Calls until each of these slaves has run one; none other may.
async fn reaches(client: &Client, arguments: Value, expected: &[&str]) {
    let mut seen = std::collections::BTreeSet::new();
    wait::until(&format!("{arguments} on each of {expected:?}"), async || {
        let slave = review(client, &arguments).await;
        assert!(expected.contains(&slave.as_str()), "{arguments} ran on {slave}, not one of {expected:?}");
        seen.insert(slave);
        (seen.len() == expected.len()).then_some(())
    })
    .await;
}

const GITLAB: &str = "https://gitlab.com/group/project/-/merge_requests/7";
const GITHUB: &str = "https://github.com/owner/repo/pull/7";

#[tokio::test]
async fn reviews_go_by_platform_without_any_file() {
    let mut fleet = Fleet::with(None).await;
    fleet.add("gitlab", "platform=gitlab").await;
    fleet.add("github", "platform=github").await;
    fleet.add("both", "team=x").await;
    let legacy = Client::legacy(fleet.proxy.http).await;
    for client in [fleet.client(), legacy] {
        reaches(&client, json!({ "mrUrlOrId": GITLAB }), &["gitlab", "both"]).await;
        reaches(&client, json!({ "mrUrlOrId": GITHUB }), &["github", "both"]).await;
    }
    let client = fleet.client();
    reaches(&client, json!({ "mrUrlOrId": "7", "project": "group/sub/project" }), &["gitlab", "both"]).await;
    reaches(&client, json!({ "mrUrlOrId": "7", "project": "owner/repo" }), &["github", "both"]).await;
    reaches(&client, json!({ "mrUrlOrId": GITHUB, "platform": "gitlab" }), &["gitlab", "both"]).await;
    let refused = client.call(TOOL, json!({ "mrUrlOrId": "7" })).await;
    assert_eq!(refused.kind(), "invalid_params", "a number that could mean either platform");
}

#[tokio::test]
async fn a_review_never_goes_to_the_other_platform() {
    let mut fleet = Fleet::with(None).await;
    fleet.add("github", "platform=github").await;
    let answer = fleet.client().call(TOOL, json!({ "mrUrlOrId": GITLAB })).await;
    assert_eq!(answer.kind(), "no_slave_for_tool");
    let message = answer.error()["message"].as_str().unwrap();
    assert!(message.contains("platform=gitlab") && message.contains("review-gitlab"), "{message}");
    // A slave that connects later is used at once.
    fleet.add("gitlab", "platform=gitlab").await;
    reaches(&fleet.client(), json!({ "mrUrlOrId": GITLAB }), &["gitlab"]).await;
}
