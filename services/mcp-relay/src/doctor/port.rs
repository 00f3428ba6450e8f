//! Whether a port can be listened on, or one of our servers is there already.

use std::time::Duration;

use runtime::listen::ListenAddr;
use serde_json::Value;

use super::report::{Fault, Report};
use crate::http::{self, Target};

/// Most that a server may take to answer.
const LIMIT: Duration = Duration::from_secs(3);

/// What stands at an HTTP port of ours.
pub(super) enum Occupant {
    /// Nothing: it was bound and let go.
    Free,
    /// A running mcp-relay with what its `/readyz` says.
    Running(Value),
}

/// Tries the HTTP port.
pub(super) async fn http(report: &mut Report, address: &ListenAddr) -> Option<Occupant> {
    let result = match address.bind().await {
        Ok(_) => Ok((Occupant::Free, format!("{address} can be listened on"))),
        Err(error) => match running(address).await {
            Some(state) => {
                let text = format!("an mcp-relay runs on {address} already");
                Ok((Occupant::Running(state), text))
            }
            None => Err(Fault::new(format!("cannot listen on {address}: {}", error.reason), error.advice)),
        },
    };
    report.step("HTTP port", result)
}

/// Tries a port that no HTTP server of ours listens on.
pub(super) async fn plain(report: &mut Report, step: &'static str, address: &ListenAddr) {
    let result = match address.bind().await {
        Ok(_) => Ok(((), format!("{address} can be listened on"))),
        Err(error) => Err(Fault::new(format!("cannot listen on {address}: {}", error.reason), error.advice)),
    };
    report.step(step, result);
}

async fn running(address: &ListenAddr) -> Option<Value> {
    let target = Target::of_listener(&address.host, address.port);
    let (_, body) = http::get(&target, "/readyz", LIMIT).await.ok()?;
    let state: Value = serde_json::from_str(&body).ok()?;
    state.get("ready")?.is_boolean().then_some(state)
}

/// Says whether the server that runs is ready, and why not.
pub(super) fn readiness(report: &mut Report, state: &Value) {
    if state["ready"] == true {
        report.good("running server", "it is ready");
    } else {
        let reason = state["reason"].as_str().unwrap_or("it does not say why");
        report.note("running server", format!("it is not ready: {reason}"));
    }
}
