//! `mcp-relay health`: asks whether the server of this configuration is alive. Knows no mode.

use std::time::Duration;

use anyhow::{Context, ensure};
use runtime::env::Snapshot;

use crate::http;
use crate::local_server::{self, LocalServer};

/// Longest wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Requests `/healthz` and returns what to print. The error says what to correct.
pub(crate) async fn check(snapshot: &Snapshot) -> anyhow::Result<String> {
    let server = local_server::from_environment("health", snapshot)?;
    let LocalServer { target, variables } = &server;
    let (status, _) = http::get(target, "/healthz", REQUEST_TIMEOUT)
        .await
        .with_context(|| format!("no server on {server} ({variables})"))?;
    ensure!(status == 200, "{server}/healthz answered with status {status}: is it another server?");
    Ok(format!("{server} is alive"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn check_server_that_answers(status: &'static str) -> anyhow::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /healthz HTTP/1.1"));
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let port = port.to_string();
        check(&Snapshot::of([("MCP_SERVER_HOST", "0.0.0.0"), ("MCP_SERVER_PORT", port.as_str())])).await
    }

    #[tokio::test]
    async fn a_server_is_alive_if_it_answers_200() {
        assert!(check_server_that_answers("200 OK").await.is_ok());
        let error = check_server_that_answers("404 Not Found").await.unwrap_err();
        assert!(error.to_string().contains("status 404"), "{error:#}");
    }

    #[tokio::test]
    async fn a_missing_server_is_reported_with_its_variables() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port().to_string();
        let error = check(&Snapshot::of([("MCP_SERVER_PORT", port.as_str())])).await.unwrap_err();
        assert!(error.to_string().contains("MCP_SERVER_PORT"), "{error:#}");
        let error = check(&Snapshot::of([("MCP_SERVER_PORT", "0")])).await.unwrap_err();
        assert!(error.to_string().contains("any free port"), "{error:#}");
    }
}
