//! `mcp-relay call`: one MCP call over HTTP, as any client makes it, and its result. Knows nothing of proxies and slaves but
//! that a slave can be brought along.

mod exchange;
mod plan;
mod print;
mod repeat;
mod slave;

use std::io::Write;
use std::time::Duration;

use anyhow::anyhow;
use runtime::env::Snapshot;
use tokio::time::{Instant, sleep};

use crate::cli::Call;
use crate::mcp::{Client, McpError};
use crate::serve::Stop;
use exchange::{Ending, exchange};
use plan::{Plan, Wish};
use print::Answer;

/// Between two tries while `--wait` lasts.
const PAUSE: Duration = Duration::from_millis(500);

/// What this client calls itself.
const NAME: &str = "mcp-relay-call";

/// How it ended. All hold what is to be printed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With the result that it was made for.
    Answered(String),
    /// The tool says that it failed (`isError`).
    ToolFailed(String),
    /// Of many calls some have no result.
    SomeFailed(String),
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error(transparent)]
    Mcp(#[from] McpError),
    #[error("the tool asks for input, which this command cannot give")]
    NeedsInput,
    #[error("no result within {} s (--timeout): the call was given up", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("interrupted: the call was given up")]
    Interrupted,
}

/// Makes the call, or lists the tools.
pub(crate) async fn run(call: Call, snapshot: &Snapshot) -> Result<Outcome, Stop> {
    let plan = Plan::of(call, snapshot)?;
    let mut ending = Ending::after(plan.timeout)?;
    let slave = match &plan.slave {
        Some(tool) => Some(slave::start(tool, snapshot)?),
        None => None,
    };
    let result = match plan.during {
        Some(_) => repeat::repeat(&plan).await,
        None => insist(&plan, &mut ending).await.map_err(|error| told(&error, &plan)),
    };
    if let Some(slave) = slave {
        slave.end().await;
    }
    Ok(result?)
}

/// Tries until there is an answer, or `--wait` is over.
async fn insist(plan: &Plan, ending: &mut Ending) -> Result<Outcome, CallError> {
    let deadline = Instant::now() + plan.wait;
    let mut said = String::new();
    loop {
        let error = match attempt(plan, ending).await {
            Err(CallError::Mcp(error)) if error.is_not_yet() && Instant::now() < deadline => error,
            result => return result,
        };
        let why = error.to_string();
        if why != said {
            note(&format!("waiting: {why}"));
            said = why;
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            why = ending.come() => return Err(why),
        }
    }
}

async fn attempt(plan: &Plan, ending: &mut Ending) -> Result<Outcome, CallError> {
    let mut client = Client::new(plan.endpoint.clone(), plan.era, NAME);
    tokio::select! {
        opened = client.open() => opened?,
        why = ending.come() => return Err(why),
    }
    let result = match &plan.wish {
        Wish::List => tokio::select! {
            tools = client.tools() => tools.map(|tools| Outcome::Answered(print::tools(&tools, plan.format))).map_err(CallError::from),
            why = ending.come() => Err(why),
        },
        Wish::Call { tool, arguments } => {
            exchange(&mut client, (tool, arguments), ending).await.and_then(|message| {
                match print::answer(&message, plan.format) {
                    Answer::Result(text) => Ok(Outcome::Answered(text)),
                    Answer::ToolError(text) => Ok(Outcome::ToolFailed(text)),
                    Answer::NeedsInput => Err(CallError::NeedsInput),
                }
            })
        }
    };
    // The answer is there; a session that cannot be ended ends by itself.
    let _ = client.close().await;
    result
}

/// The error with what to do about it.
fn told(error: &CallError, plan: &Plan) -> anyhow::Error {
    let at = plan.address();
    match error {
        CallError::Mcp(McpError::NoConnection(why)) => {
            anyhow!("no connection to {at}: {why:#}. Check --url, or MCP_SERVER_HOST and MCP_SERVER_PORT")
        }
        CallError::Mcp(McpError::Refused(refused)) if refused.status == 401 => {
            anyhow!(
                "{at} says: {refused}. The key comes from AUTH_BEARER_KEYS, or from the variable of --key-env"
            )
        }
        CallError::Mcp(McpError::Refused(refused)) => anyhow!("{at} says: {refused}"),
        CallError::Mcp(McpError::Broken(why)) => {
            anyhow!("{at} gave no whole answer, so the call may or may not have run: {why:#}")
        }
        other => anyhow!("{other}"),
    }
}

/// To standard error; nothing is lost where nobody reads it.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
