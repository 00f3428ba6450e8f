//! Asks a running proxy. Knows where it listens, not what it answers.

use std::time::Duration;

use ::proxy::routes::{EXPLAIN_PATH, ExplainRequest, Explanation};
use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use runtime::env::Snapshot;

use crate::http::{Target, send};
use crate::own;
use crate::serve::Stop;

/// Most that an answer may take.
const LIMIT: Duration = Duration::from_secs(5);

type Answer = (String, Explanation);

/// Asks the proxy with this URL.
pub(super) async fn at(url: &str, asked: &ExplainRequest, snapshot: &Snapshot) -> Result<Answer, Stop> {
    let target = own::at("--proxy", url)?;
    let from = format!("the proxy at {url}");
    match post(&target, asked, snapshot).await {
        Ok((200, body)) => Ok((from, understood(&body)?)),
        Ok((status, body)) => Err(refused(&from, status, &body)),
        Err(error) => Err(Stop::Failed(error.context(format!("{from} cannot be asked")))),
    }
}

/// Asks the proxy of this environment; `None` if none runs.
pub(super) async fn here(asked: &ExplainRequest, snapshot: &Snapshot) -> Result<Option<Answer>, Stop> {
    let address = own::address("routes", snapshot)?;
    // Any free port, or a certificate that cannot be read: it is no proxy's of now.
    let Ok(own::Own { target, .. }) = own::reach(&address, snapshot) else { return Ok(None) };
    let from = format!("the proxy at {target}");
    match post(&target, asked, snapshot).await {
        Ok((200, body)) => Ok(Some((from, understood(&body)?))),
        // Another server, or a slave.
        Ok((404 | 405, _)) | Err(_) => Ok(None),
        Ok((status, body)) => Err(refused(&from, status, &body)),
    }
}

async fn post(target: &Target, asked: &ExplainRequest, snapshot: &Snapshot) -> anyhow::Result<(u16, Bytes)> {
    let mut request = Request::post(EXPLAIN_PATH).header(CONTENT_TYPE, "application/json");
    if let Some(bearer) = own::bearer(snapshot) {
        request = request.header(AUTHORIZATION, bearer);
    }
    let request = request.body(Full::from(serde_json::to_vec(asked)?))?;
    let exchange = async {
        let response = send(target, request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    match tokio::time::timeout(LIMIT, exchange).await {
        Ok(result) => result,
        Err(_) => bail!("no answer within {} s", LIMIT.as_secs()),
    }
}

fn understood(body: &[u8]) -> anyhow::Result<Explanation> {
    serde_json::from_slice(body)
        .context("the answer is no explanation: is it another server, or another version?")
}

/// A question that cannot be answered is the command line's fault.
fn refused(from: &str, status: u16, body: &[u8]) -> Stop {
    let told: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match (status, told["error"].as_str()) {
        (400, Some(why)) => Stop::Config(format!("{from} says: {why}")),
        (401, _) => {
            Stop::Failed(anyhow!("{from} asks for a key: set AUTH_BEARER_KEYS to one that it accepts"))
        }
        _ => Stop::Failed(anyhow!("{from} answered with status {status}: is it another server?")),
    }
}
