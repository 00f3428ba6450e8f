//! Checks whether a port can be listened on, or an mcp-relay of the same mode listens there already.

use std::path::Path;
use std::time::Duration;

use runtime::config::CommonConfig;
use runtime::io_fault::describe;
use runtime::listen::ListenAddr;
use serde_json::Value;

use super::report::{Fault, Report};
use crate::http::{self, Target};
use crate::mode::Mode;

/// Longest wait for an answer of a server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// What listens on the HTTP port of this configuration.
pub(super) enum Listener {
    /// Nothing: the port was bound and released.
    Free,
    /// A running mcp-relay of the same mode, with the answer of its `/readyz`.
    Running(Value),
}

/// HTTP ports of a server.
pub(super) struct Ports<'a> {
    /// Port for clients.
    http: &'a ListenAddr,
    /// Port for operators, where it is another one.
    ops: Option<&'a ListenAddr>,
    /// Certificate of the port for operators, if it speaks TLS.
    certificate: Option<&'a Path>,
}

impl<'a> Ports<'a> {
    /// The ports of a configuration.
    pub(super) fn of(common: &'a CommonConfig, certificate: Option<&'a Path>) -> Self {
        Self { http: &common.http, ops: common.ops.port.as_ref(), certificate }
    }
}

/// Checks the HTTP ports for a server of `mode`.
pub(super) async fn http(report: &mut Report, ports: &Ports<'_>, mode: Mode) -> Option<Listener> {
    let listener = clients(report, ports, mode).await;
    match (&listener, ports.ops) {
        (_, None) => {}
        (Some(Listener::Running(_)), Some(_)) => report.skipped("ops port", "the running server has it"),
        (_, Some(address)) => check_free(report, "ops port", address).await,
    }
    listener
}

async fn clients(report: &mut Report, ports: &Ports<'_>, mode: Mode) -> Option<Listener> {
    let address = ports.http;
    let result = match address.bind().await {
        Ok(_) => Ok((Listener::Free, format!("{address} can be listened on"))),
        Err(error) => match running(ports.ops.unwrap_or(address), ports.certificate).await {
            Some(state) if mode_of(&state) == mode => {
                let text = format!("a {} runs on {address} already", mode.name());
                Ok((Listener::Running(state), text))
            }
            Some(state) => {
                let what = format!("a {} of mcp-relay has {address}", mode_of(&state).name());
                Err(Fault::new(what, format!("set {} to another port", address.port_var)))
            }
            None => Err(Fault::new(
                format!("cannot listen on {address}: {}", describe(&error.reason)),
                error.advice,
            )),
        },
    };
    report.step("HTTP port", result)
}

/// Tells the mode of a server from `/readyz`, which counts slaves on a proxy and links on a slave.
fn mode_of(state: &Value) -> Mode {
    match (state.get("slaves"), state.get("links")) {
        (Some(_), _) => Mode::Proxy,
        (None, Some(_)) => Mode::Slave,
        (None, None) => Mode::Standalone,
    }
}

/// Checks a port on which a running mcp-relay cannot be recognised.
pub(super) async fn check_free(report: &mut Report, step: &'static str, address: &ListenAddr) {
    let result = match address.bind().await {
        Ok(_) => Ok(((), format!("{address} can be listened on"))),
        Err(error) => {
            Err(Fault::new(format!("cannot listen on {address}: {}", describe(&error.reason)), error.advice))
        }
    };
    report.step(step, result);
}

async fn running(address: &ListenAddr, certificate: Option<&Path>) -> Option<Value> {
    let target = Target::of_listener(&address.host, address.port).with_certificate(certificate).ok()?;
    let (_, body) = http::get(&target, "/readyz", REQUEST_TIMEOUT).await.ok()?;
    let state: Value = serde_json::from_str(&body).ok()?;
    state.get("ready")?.is_boolean().then_some(state)
}

/// Reports whether the running server is ready, and why not.
pub(super) fn readiness(report: &mut Report, state: &Value) {
    if state["ready"] == true {
        report.good("running server", "it is ready");
    } else {
        let reason = state["reason"].as_str().unwrap_or("it does not say why");
        report.warn("running server", format!("it is not ready: {reason}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::report::Format;
    use super::*;

    /// Lines of the report for a port whose server answers `body`.
    async fn report_lines(body: &'static str, mode: Mode) -> String {
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
        let ports = Ports { http: &address, ops: None, certificate: None };
        http(&mut report, &ports, mode).await;
        report.lines("HTTP port").join("")
    }

    #[tokio::test]
    async fn a_server_in_the_same_mode_may_have_the_port() {
        assert!(report_lines(r#"{"ready":true,"slaves":0}"#, Mode::Proxy).await.contains('✓'));
        assert!(report_lines(r#"{"ready":false,"links":0}"#, Mode::Slave).await.contains('✓'));
        assert!(report_lines(r#"{"ready":true}"#, Mode::Standalone).await.contains('✓'));
    }

    #[tokio::test]
    async fn any_other_server_on_the_port_is_a_fault_that_names_the_variable() {
        for (body, mode) in
            [(r#"{"ready":true,"slaves":0}"#, Mode::Slave), ("hello", Mode::Slave), ("{}", Mode::Proxy)]
        {
            let line = report_lines(body, mode).await;
            assert!(line.contains('✗') && line.contains("MCP_SERVER_PORT"), "{body}: {line}");
        }
    }

    #[test]
    fn a_server_that_is_not_ready_is_warned_of() {
        let mut report = Report::new("proxy", Format::Json);
        readiness(&mut report, &json!({ "ready": false, "reason": "shutting down" }));
        assert_eq!(report.lines("running server"), ["  ⚠ running server: it is not ready: shutting down"]);
    }
}
