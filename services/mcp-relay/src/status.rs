//! `mcp-relay status`: fetches the status document of a running proxy or slave and prints it. Must not know the form of
//! the document.

mod print;

use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use http_body_util::Full;
use hyper::Request;
use hyper::header::AUTHORIZATION;
use runtime::env::Snapshot;
use serde_json::Value;

use crate::cli::StatusArgs;
use crate::command_error::CommandError;
use crate::http::{Target, read_body, send};
use crate::local_server::{self, OperatorKey};
use crate::output::{self, Text};

/// Path of the status document.
const PATH: &str = "/api/v1/status";

/// Longest wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between two requests of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Prints the status once, or again and again with `--watch`.
pub(crate) async fn run(args: &StatusArgs, snapshot: &Snapshot) -> Result<(), CommandError> {
    let server = Server::of(args, snapshot)?;
    loop {
        let text = match server.ask().await {
            Ok(found) if args.json => Text::json(&format!("{found}\n")),
            Ok(found) => print::lines(&server.name, &found, output::width()).into(),
            // A server that is down may come back.
            Err(error) if args.watch && !args.json => format!("{error:#}\n").into(),
            Err(error) => return Err(CommandError::Failed(error)),
        };
        if args.watch && !args.json {
            output::clear();
        }
        // Ends when the reader of the output is gone.
        if output::write(text).is_err() || !args.watch {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_INTERVAL) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// The server that is asked, and the key for it.
struct Server {
    target: Target,
    name: String,
    /// Variables or option that its address comes from, for messages.
    hint: String,
    key: Option<OperatorKey>,
}

impl Server {
    fn of(args: &StatusArgs, snapshot: &Snapshot) -> Result<Self, CommandError> {
        let key = match &args.key_env {
            Some(variable) => Some(OperatorKey::named(variable, snapshot)?),
            None => OperatorKey::of(snapshot),
        };
        if let Some(url) = &args.url {
            let target = local_server::at_url("--url", url, args.ca_file.as_deref(), snapshot)?;
            return Ok(Self { target, name: url.clone(), hint: "--url".into(), key });
        }
        let address = local_server::address("status", snapshot)?;
        let server = local_server::at_address(&address, snapshot).map_err(CommandError::Failed)?;
        let (name, hint) = (server.to_string(), server.variables);
        Ok(Self { target: server.target, name, hint, key })
    }

    async fn ask(&self) -> anyhow::Result<Value> {
        let Self { name, hint, .. } = self;
        let (status, body) = match tokio::time::timeout(REQUEST_TIMEOUT, self.get()).await {
            Ok(answer) => answer.with_context(|| format!("no server on {name} ({hint})"))?,
            Err(_) => bail!("{name} does not answer within {} s ({hint})", REQUEST_TIMEOUT.as_secs()),
        };
        match status {
            200 => {}
            401 | 403 => return Err(local_server::key_refused(name, self.key.as_ref())),
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
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.bearer());
        }
        let response = send(&self.target, request.body(Full::default())?).await?;
        let status = response.status().as_u16();
        Ok((status, read_body(response).await?))
    }
}
