//! `mcp-relay routes explain` through a running proxy. Knows where the proxy listens, not what it answers.

use std::time::Duration;

use ::proxy::routes::{EXPLAIN_PATH, ExplainRequest, Explanation};
use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use runtime::env::Snapshot;
use runtime::printable;

use crate::command_error::CommandError;
use crate::http::{Target, read_body, send};
use crate::local_server::{self, LocalServer, OperatorKey};

/// Longest wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

type Answer = (String, Explanation);

/// Asks the proxy at a URL.
pub(super) async fn at_url(
    url: &str,
    asked: &ExplainRequest,
    snapshot: &Snapshot,
) -> Result<Answer, CommandError> {
    let target = local_server::at_url("--proxy", url, None, snapshot)?;
    let from = format!("the proxy at {url}");
    match post(&target, asked, snapshot).await {
        Ok((200, body)) => Ok((from, parse(&body)?)),
        Ok((status, body)) => Err(refused(&from, status, &body, snapshot)),
        Err(error) => Err(CommandError::Failed(error.context(format!("{from} cannot be asked")))),
    }
}

/// Asks the proxy of this environment; `None` if none runs.
pub(super) async fn local(
    asked: &ExplainRequest,
    snapshot: &Snapshot,
) -> Result<Option<Answer>, CommandError> {
    let address = local_server::address("routes", snapshot)?;
    // Port 0, or a certificate that cannot be read: no proxy of this environment runs.
    let Ok(LocalServer { target, .. }) = local_server::at_address(&address, snapshot) else {
        return Ok(None);
    };
    let from = format!("the proxy at {target}");
    match post(&target, asked, snapshot).await {
        Ok((200, body)) => Ok(Some((from, parse(&body)?))),
        // The server there is a slave, or not an mcp-relay.
        Ok((404 | 405, _)) | Err(_) => Ok(None),
        Ok((status, body)) => Err(refused(&from, status, &body, snapshot)),
    }
}

async fn post(target: &Target, asked: &ExplainRequest, snapshot: &Snapshot) -> anyhow::Result<(u16, Bytes)> {
    let mut request = Request::post(EXPLAIN_PATH).header(CONTENT_TYPE, "application/json");
    if let Some(key) = OperatorKey::of(snapshot) {
        request = request.header(AUTHORIZATION, key.bearer());
    }
    let request = request.body(Full::from(serde_json::to_vec(asked)?))?;
    let exchange = async {
        let response = send(target, request).await?;
        let status = response.status().as_u16();
        Ok((status, read_body(response).await?))
    };
    match tokio::time::timeout(REQUEST_TIMEOUT, exchange).await {
        Ok(result) => result,
        Err(_) => bail!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
    }
}

fn parse(body: &[u8]) -> anyhow::Result<Explanation> {
    serde_json::from_slice(body)
        .context("the answer is no explanation: is it another server, or another version?")
}

/// Returns the error for a status other than 200; 400 is a fault of the command line.
fn refused(from: &str, status: u16, body: &[u8], snapshot: &Snapshot) -> CommandError {
    let reply: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match (status, reply["error"].as_str()) {
        (400, Some(why)) => CommandError::Config(format!("{from} says: {}", printable::line(why))),
        (401 | 403, _) => {
            CommandError::Failed(local_server::key_refused(from, OperatorKey::of(snapshot).as_ref()))
        }
        _ => CommandError::Failed(anyhow!("{from} answered with status {status}: is it another server?")),
    }
}
