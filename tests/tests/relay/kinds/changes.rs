//! Changes of lists of all kinds: the backend says so, and a legacy client's stream tells of them.

use harness::http::{self, Exchange};
use harness::wait;
use hyper::Method;
use serde_json::json;

use super::{Asker, ERAS, Scene};

/// Lists with the notification that tells of them, and with a new entry's name.
const LISTS: [(&str, &str, &str, &str); 4] = [
    ("tools", "tools", "name", "tool1"),
    ("prompts", "prompts", "name", "prompt1"),
    ("resources", "resources", "uri", "kinds://added1"),
    ("templates", "resourceTemplates", "uriTemplate", "kinds://kind1/{id}"),
];

async fn stream(asker: &Asker, address: std::net::SocketAddr) -> Exchange {
    let session = asker.client.session.clone().unwrap();
    let headers = [("accept", "text/event-stream".to_owned()), ("mcp-session-id", session)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    let mut stream = Exchange::start(address, http::request(Method::GET, "/mcp", &headers, Vec::new())).await;
    stream.head().await;
    assert_eq!(stream.status.as_u16(), 200);
    stream
}

async fn wait_for(stream: &mut Exchange, method: &str) {
    let told = async {
        let mut text = String::new();
        while !text.contains(method) {
            let chunk = stream.try_chunk().await.unwrap().expect("an open stream");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    wait::within(method, wait::TIMEOUT, told).await;
}

#[tokio::test]
async fn a_change_of_each_list_is_told_and_seen() {
    for era in ERAS {
        let scene = Scene::start(era, &[]).await;
        let askers = scene.askers().await;
        for (kind, list, member, entry) in LISTS {
            let mut streams = Vec::new();
            for (asker, address) in [(&askers[0], scene.proxy.http), (&askers[2], scene.slave.http)] {
                assert_eq!(asker.era, "legacy");
                streams.push(stream(asker, address).await);
            }
            let change = json!({ "name": "change", "arguments": { "kind": kind } });
            askers[0].result("tools/call", change).await;
            let of = if kind == "templates" { "resources" } else { kind };
            for stream in &mut streams {
                wait_for(stream, &format!("notifications/{of}/list_changed")).await;
            }
            for asker in &askers {
                let what = format!("{}: {entry} of a {era} backend", asker.name);
                wait::until(&what, async || {
                    asker.listed(list, member).await.iter().any(|name| name == entry).then_some(())
                })
                .await;
            }
        }
    }
}
