//! Changes of lists of all kinds: the backend says so, and a legacy client's stream tells of them.

use harness::http::{self, Exchange};
use harness::wait;
use hyper::Method;
use serde_json::json;

use super::{Caller, ERAS, Scene};

/// Lists with the notification that tells of them, and with a new entry's name.
const LISTS: [(&str, &str, &str, &str); 4] = [
    ("tools", "tools", "name", "tool1"),
    ("prompts", "prompts", "name", "prompt1"),
    ("resources", "resources", "uri", "kinds://added1"),
    ("templates", "resourceTemplates", "uriTemplate", "kinds://kind1/{id}"),
];

async fn stream(caller: &Caller, address: std::net::SocketAddr) -> Exchange {
    let session = caller.client.session.clone().unwrap();
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
        let callers = scene.callers().await;
        for (kind, list, member, entry) in LISTS {
            let mut streams = Vec::new();
            for (caller, address) in [(&callers[0], scene.proxy.http), (&callers[2], scene.slave.http)] {
                assert_eq!(caller.era, "legacy");
                streams.push(stream(caller, address).await);
            }
            let change = json!({ "name": "change", "arguments": { "kind": kind } });
            callers[0].result("tools/call", change).await;
            let of = if kind == "templates" { "resources" } else { kind };
            for stream in &mut streams {
                wait_for(stream, &format!("notifications/{of}/list_changed")).await;
            }
            for caller in &callers {
                let what = format!("{}: {entry} of a {era} backend", caller.name);
                wait::until(&what, async || {
                    caller.listed(list, member).await.iter().any(|name| name == entry).then_some(())
                })
                .await;
            }
        }
    }
}
