//! Whether a port can be listened on, or one of our servers is there already.

use std::path::Path;
use std::time::Duration;

use runtime::config::CommonConfig;
use runtime::listen::ListenAddr;
use serde_json::Value;

use super::report::{Fault, Report};
use crate::http::{self, Target};
use crate::mode::Mode;

/// Most that a server may take to answer.
const LIMIT: Duration = Duration::from_secs(3);

/// What stands at an HTTP port of ours.
pub(super) enum Occupant {
    /// Nothing: it was bound and let go.
    Free,
    /// A running mcp-relay of the same mode, with what its `/readyz` says.
    Running(Value),
}

/// Where a server is to be reached over HTTP.
pub(super) struct Doors<'a> {
    /// By clients.
    http: &'a ListenAddr,
    /// By operators, where that is another port.
    ops: Option<&'a ListenAddr>,
    /// What it shows to operators, if it speaks TLS there.
    certificate: Option<&'a Path>,
}

impl<'a> Doors<'a> {
    /// As configured.
    pub(super) fn of(common: &'a CommonConfig, certificate: Option<&'a Path>) -> Self {
        Self { http: &common.http, ops: common.ops.port.as_ref(), certificate }
    }
}

/// Tries the HTTP ports for a server of `mode`.
pub(super) async fn http(report: &mut Report, doors: &Doors<'_>, mode: Mode) -> Option<Occupant> {
    let occupant = clients(report, doors, mode).await;
    match (&occupant, doors.ops) {
        (_, None) => {}
        (Some(Occupant::Running(_)), Some(_)) => report.skipped("ops port", "the running server has it"),
        (_, Some(address)) => plain(report, "ops port", address).await,
    }
    occupant
}

async fn clients(report: &mut Report, doors: &Doors<'_>, mode: Mode) -> Option<Occupant> {
    let address = doors.http;
    let result = match address.bind().await {
        Ok(_) => Ok((Occupant::Free, format!("{address} can be listened on"))),
        Err(error) => match running(doors.ops.unwrap_or(address), doors.certificate).await {
            Some(state) if mode_of(&state) == mode => {
                let text = format!("a {} runs on {address} already", mode.name());
                Ok((Occupant::Running(state), text))
            }
            Some(state) => {
                let what = format!("a {} of mcp-relay has {address}", mode_of(&state).name());
                Err(Fault::new(what, format!("set {} to another port", address.port_var)))
            }
            None => Err(Fault::new(format!("cannot listen on {address}: {}", error.reason), error.advice)),
        },
    };
    report.step("HTTP port", result)
}

/// `/readyz` counts slaves on a proxy and links on a slave.
fn mode_of(state: &Value) -> Mode {
    match (state.get("slaves"), state.get("links")) {
        (Some(_), _) => Mode::Proxy,
        (None, Some(_)) => Mode::Slave,
        (None, None) => Mode::Standalone,
    }
}

/// Tries a port that no HTTP server of ours listens on.
pub(super) async fn plain(report: &mut Report, step: &'static str, address: &ListenAddr) {
    let result = match address.bind().await {
        Ok(_) => Ok(((), format!("{address} can be listened on"))),
        Err(error) => Err(Fault::new(format!("cannot listen on {address}: {}", error.reason), error.advice)),
    };
    report.step(step, result);
}

async fn running(address: &ListenAddr, certificate: Option<&Path>) -> Option<Value> {
    let target = Target::of_listener(&address.host, address.port).with_certificate(certificate).ok()?;
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::report::Format;
    use super::*;

    /// What is said about a port whose server answers `body`.
    async fn said(body: &'static str, mode: Mode) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        });
        let address = ListenAddr {
            host: "127.0.0.1".into(),
            port,
            host_var: "MCP_SERVER_HOST",
            port_var: "MCP_SERVER_PORT",
        };
        let mut report = Report::new("slave", Format::Json);
        let doors = Doors { http: &address, ops: None, certificate: None };
        http(&mut report, &doors, mode).await;
        report.lines("HTTP port").join("")
    }

    #[tokio::test]
    async fn a_server_of_ours_in_the_same_mode_may_have_the_port() {
        assert!(said(r#"{"ready":true,"slaves":0}"#, Mode::Proxy).await.contains('✓'));
        assert!(said(r#"{"ready":false,"links":0}"#, Mode::Slave).await.contains('✓'));
        assert!(said(r#"{"ready":true}"#, Mode::Standalone).await.contains('✓'));
    }

    #[tokio::test]
    async fn any_other_server_there_is_a_fault_that_names_the_variable() {
        for (body, mode) in
            [(r#"{"ready":true,"slaves":0}"#, Mode::Slave), ("hello", Mode::Slave), ("{}", Mode::Proxy)]
        {
            let line = said(body, mode).await;
            assert!(line.contains('✗') && line.contains("MCP_SERVER_PORT"), "{body}: {line}");
        }
    }

    #[test]
    fn a_server_that_is_not_ready_is_worth_a_note() {
        let mut report = Report::new("proxy", Format::Json);
        readiness(&mut report, &json!({ "ready": false, "reason": "shutting down" }));
        assert_eq!(report.lines("running server"), ["  ! running server: it is not ready: shutting down"]);
    }
}
