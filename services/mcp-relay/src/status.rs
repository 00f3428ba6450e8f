//! `mcp-relay status`: what a running proxy or slave says of itself, in the terminal. Knows how it is asked, not how it is
//! written.

mod print;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::header::AUTHORIZATION;
use runtime::env::Snapshot;
use serde_json::Value;

use crate::cli::StatusAsked;
use crate::http::{Target, send};
use crate::own;
use crate::serve::Stop;

/// Where it is asked.
const PATH: &str = "/api/v1/status";

/// Most that an answer may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Between two looks of `--watch`.
const EVERY: Duration = Duration::from_secs(2);

/// Clears the terminal and begins at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Prints it, once or again and again.
pub(crate) async fn run(asked: &StatusAsked, snapshot: &Snapshot) -> Result<(), Stop> {
    let server = Server::of(asked, snapshot)?;
    let mut out = std::io::stdout();
    let clear = if asked.watch && !asked.json && out.is_terminal() { CLEAR } else { "" };
    loop {
        let text = match server.ask().await {
            Ok(found) if asked.json => found.to_string() + "\n",
            Ok(found) => print::lines(&server.name, &found),
            // One that is away may come back.
            Err(error) if asked.watch && !asked.json => format!("{error:#}\n"),
            Err(error) => return Err(Stop::Failed(error)),
        };
        // A reader that went away wants no more.
        if write!(out, "{clear}{text}").and_then(|()| out.flush()).is_err() || !asked.watch {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// Who is asked, and how.
struct Server {
    target: Target,
    name: String,
    /// What to look at if it is not there.
    hint: String,
    bearer: Option<String>,
}

impl Server {
    fn of(asked: &StatusAsked, snapshot: &Snapshot) -> Result<Self, Stop> {
        let bearer = own::bearer(snapshot);
        if let Some(url) = &asked.url {
            let target = own::at("--url", url)?;
            return Ok(Self { target, name: url.clone(), hint: "--url".into(), bearer });
        }
        let address = own::address("status", snapshot)?;
        let own = own::reach(&address, snapshot).map_err(Stop::Failed)?;
        let (name, hint) = (own.to_string(), own.variables);
        Ok(Self { target: own.target, name, hint, bearer })
    }

    async fn ask(&self) -> anyhow::Result<Value> {
        let Self { name, hint, .. } = self;
        let (status, body) = match tokio::time::timeout(LIMIT, self.get()).await {
            Ok(answer) => answer.with_context(|| format!("no server on {name} ({hint})"))?,
            Err(_) => bail!("{name} does not answer within {} s ({hint})", LIMIT.as_secs()),
        };
        match status {
            200 => {}
            401 => bail!("{name} asks for a key: set AUTH_BEARER_KEYS to one that it accepts"),
            404 => bail!("{name} has no {PATH}: is it the ops port (OPS_PORT) of an mcp-relay?"),
            _ => bail!("{name} answered with status {status}: is it another server?"),
        }
        let found: Value =
            serde_json::from_slice(&body).map_err(|_| anyhow!("{name} is no mcp-relay: it gave no JSON"))?;
        ensure!(found["role"].is_string(), "{name} is no mcp-relay, or one of another version");
        Ok(found)
    }

    async fn get(&self) -> anyhow::Result<(u16, bytes::Bytes)> {
        let mut request = Request::get(PATH);
        if let Some(bearer) = &self.bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        let response = send(&self.target, request.body(Full::default())?).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}
