//! What the running server of this environment says of itself to an operator. Must not know what it means.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::header::AUTHORIZATION;
use runtime::env::Snapshot;
use serde_json::{Value, json};

use crate::doctor::millis;
use crate::http::{self, Target};
use crate::local_server::{self, OperatorKey};

/// Longest wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer that is taken.
const MAX_BYTES: usize = 8 << 20;

/// What the server answered.
pub(super) struct Answers {
    /// Each request with its status and time, or why there is no answer.
    pub(super) requests: Value,
    /// `/api/v1/status`.
    pub(super) status: Value,
    /// `/metrics`.
    pub(super) metrics: String,
}

/// An answer with the time that it took.
struct Answer {
    status: u16,
    body: String,
    connected: Duration,
    answered: Duration,
}

/// Asks the server of this environment.
pub(super) async fn ask(snapshot: &Snapshot) -> Answers {
    let server = match local_server::from_environment("diagnose", snapshot) {
        Ok(server) => server,
        Err(error) => {
            let why = format!("{error:#}");
            return Answers {
                requests: json!([{ "error": why }]),
                status: json!({ "error": why }),
                metrics: why,
            };
        }
    };
    let key = OperatorKey::of(snapshot);
    let (mut requests, mut bodies) = (Vec::new(), Vec::new());
    for path in ["/healthz", "/readyz", "/api/v1/status", "/metrics"] {
        let url = format!("{server}{path}");
        let asked = tokio::time::timeout(REQUEST_TIMEOUT, get(&server.target, path, key.as_ref())).await;
        let why = match asked {
            Ok(Ok(Answer { status, body, connected, answered })) => {
                requests.push(json!({
                    "url": url, "status": status, "connectMs": millis(connected), "answerMs": millis(answered), "bytes": body.len(),
                }));
                bodies.push(if status == 200 {
                    Ok(body)
                } else {
                    Err(format!("{url} answers status {status}"))
                });
                continue;
            }
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
        };
        requests.push(json!({ "url": url, "error": why }));
        bodies.push(Err(format!("{url}: {why}")));
    }
    let metrics =
        bodies.pop().unwrap_or_else(|| Err(String::new())).unwrap_or_else(|why| format!("# {why}\n"));
    let status = bodies.pop().unwrap_or_else(|| Err(String::new()));
    let status = status.and_then(|body| serde_json::from_str(&body).map_err(|_| "it is no JSON".to_owned()));
    Answers {
        requests: requests.into(),
        status: status.unwrap_or_else(|why| json!({ "error": why })),
        metrics,
    }
}

async fn get(target: &Target, path: &str, key: Option<&OperatorKey>) -> anyhow::Result<Answer> {
    let started = Instant::now();
    let mut connection = http::connect(target).await?;
    let connected = started.elapsed();
    let mut request = Request::get(path);
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, key.bearer());
    }
    let response = connection.send(request.body(Full::default())?).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
    let body =
        body.map_err(|_| anyhow::anyhow!("the answer is not whole, or has more than {MAX_BYTES} bytes"))?;
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Ok(Answer { status, body, connected, answered: started.elapsed().saturating_sub(connected) })
}
