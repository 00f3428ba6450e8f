//! Reviews that are named by a number only: they go to the one default that they can mean, or nowhere.

use harness::client::Client;
use serde_json::{Value, json};

use super::{Fleet, TOOL, reaches};

const GITHUB: (&str, &str) = ("GITHUB_DEFAULT_REPO", "owner/repo");
const GITLAB: (&str, &str) = ("GITLAB_DEFAULT_PROJECT", "group/project");

/// A slave by its labels and variables.
type SlaveSpec = (&'static str, &'static [(&'static str, &'static str)]);

async fn fleet(slaves: &[SlaveSpec]) -> Fleet {
    let mut fleet = Fleet::with(None).await;
    for (index, (labels, variables)) in slaves.iter().enumerate() {
        fleet.add_with(&format!("s{index}"), labels, variables).await;
    }
    fleet
}

async fn is_refused(client: &Client, arguments: Value, advice: &str) {
    for _ in 0..8 {
        let answer = client.call(TOOL, arguments.clone()).await;
        assert_eq!(answer.kind(), "invalid_params", "{arguments}");
        let message = answer.error()["message"].as_str().unwrap();
        assert!(message.contains(advice) && message.contains("number"), "{arguments}: {message}");
        assert!(
            !message.contains("owner") || message.contains("\"owner/repo\""),
            "no project of a slave: {message}"
        );
    }
}

#[tokio::test]
async fn a_number_is_refused_where_two_defaults_could_be_meant() {
    let fleet = fleet(&[("", &[GITLAB]), ("", &[GITHUB])]).await;
    for client in [fleet.client(), Client::legacy(fleet.proxy.http).await] {
        for number in [json!("17"), json!(17), json!("#17"), json!("!17"), json!(" 17 ")] {
            is_refused(&client, json!({ "mrUrlOrId": number }), "\"platform\"").await;
        }
        is_refused(&client, json!({ "mrUrlOrId": "17", "platform": "", "project": null }), "\"platform\"")
            .await;
        reaches(&client, json!({ "mrUrlOrId": "17", "platform": "gitlab" }), &["s0"]).await;
        reaches(&client, json!({ "mrUrlOrId": "17", "platform": "github" }), &["s1"]).await;
        reaches(&client, json!({ "mrUrlOrId": "17", "project": "a/b" }), &["s0", "s1"]).await;
    }
    let (_, explanation) = fleet.explain(&json!({ "tool": TOOL, "arguments": { "mrUrlOrId": "17" } })).await;
    assert_eq!(explanation["rule"], "review-number");
    assert!(explanation["refused"].as_str().unwrap().contains("\"platform\""), "{explanation}");
}

#[tokio::test]
async fn a_number_goes_to_the_one_slave_or_label_with_a_default() {
    for (slaves, expected) in [
        (&[("", &[GITLAB][..]), ("", &[][..]), ("platform=github", &[][..])][..], &["s0"][..]),
        (&[("", &[GITHUB, GITLAB][..]), ("", &[][..])][..], &["s0"][..]),
        (&[("platform=gitlab", &[GITLAB][..]), ("", &[GITLAB][..]), ("", &[][..])][..], &["s0", "s1"][..]),
        (&[("platform=gitlab", &[][..]), ("platform=gitlab", &[][..])][..], &["s0", "s1"][..]),
        // The label says that it reviews on GitLab only.
        (&[("platform=gitlab", &[GITHUB, GITLAB][..]), ("", &[][..])][..], &["s0"][..]),
    ] {
        let fleet = fleet(slaves).await;
        reaches(&fleet.client(), json!({ "mrUrlOrId": "17" }), expected).await;
    }
}

#[tokio::test]
async fn two_projects_of_one_platform_are_two_as_well() {
    let other = &[("GITHUB_DEFAULT_REPO", "owner/other")];
    let fleet = fleet(&[("", &[GITHUB]), ("", other)]).await;
    is_refused(&fleet.client(), json!({ "mrUrlOrId": "17" }), "\"project\"").await;
    is_refused(&fleet.client(), json!({ "mrUrlOrId": "17", "platform": "github" }), "\"project\"").await;
}
