//! `mcp-relay health`: whether the server of this configuration is alive.

use std::time::Duration;

use anyhow::{Context, ensure};
use runtime::env::Snapshot;

use crate::http;
use crate::own::{self, Own};

/// Most that an answer may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Asks `/healthz`. The error says what to do.
pub(crate) async fn ask(snapshot: &Snapshot) -> anyhow::Result<String> {
    let own @ Own { target, variables } = &own::server("health", snapshot)?;
    let (status, _) = http::get(target, "/healthz", LIMIT)
        .await
        .with_context(|| format!("no server on {own} ({variables})"))?;
    ensure!(status == 200, "{own}/healthz answered with status {status}: is it another server?");
    Ok(format!("{own} is alive"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn ask_server_that_says(status: &'static str) -> anyhow::Result<String> {
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
        ask(&Snapshot::of([("MCP_SERVER_HOST", "0.0.0.0"), ("MCP_SERVER_PORT", port.as_str())])).await
    }

    #[tokio::test]
    async fn alive_means_an_answer_of_200() {
        assert!(ask_server_that_says("200 OK").await.is_ok());
        let error = ask_server_that_says("404 Not Found").await.unwrap_err();
        assert!(error.to_string().contains("status 404"), "{error:#}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_names_the_variables() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port().to_string();
        let error = ask(&Snapshot::of([("MCP_SERVER_PORT", port.as_str())])).await.unwrap_err();
        assert!(error.to_string().contains("MCP_SERVER_PORT"), "{error:#}");
        let error = ask(&Snapshot::of([("MCP_SERVER_PORT", "0")])).await.unwrap_err();
        assert!(error.to_string().contains("any free port"), "{error:#}");
    }
}
