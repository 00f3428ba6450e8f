//! `mcp-relay health`: asks whether the server of this configuration is alive, or ready. Knows no mode.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use runtime::env::Snapshot;
use runtime::printable;
use serde_json::Value;

use crate::http;
use crate::local_server::{self, LocalServer};

/// Longest wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whether the process serves (`/healthz`).
    Alive,
    /// Whether it takes calls (`/readyz`).
    Ready,
}

/// Asks the server of this environment and returns what to print. The error says what to correct.
pub(crate) async fn check(asked: Question, snapshot: &Snapshot) -> anyhow::Result<String> {
    let server = local_server::from_environment("health", snapshot)?;
    let LocalServer { target, variables } = &server;
    let path = match asked {
        Question::Alive => "/healthz",
        Question::Ready => "/readyz",
    };
    let (status, body) = http::get(target, path, REQUEST_TIMEOUT)
        .await
        .with_context(|| format!("no server on {server} ({variables})"))?;
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    if let (Question::Ready, 503, Some(false)) = (asked, status, answer["ready"].as_bool()) {
        let reason = answer["reason"].as_str().unwrap_or("it does not say why");
        bail!("{server} is not ready: {}", printable::line(reason));
    }
    ensure!(status == 200, "{server}{path} answered with status {status}: is it another server?");
    Ok(match asked {
        Question::Alive => format!("{server} is alive"),
        Question::Ready => format!("{server} is ready"),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn check_server_that_answers(
        asked: Question,
        status: &'static str,
        body: &'static str,
    ) -> anyhow::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            let path = if asked == Question::Alive { "/healthz" } else { "/readyz" };
            assert!(request[..read].starts_with(format!("GET {path} HTTP/1.1").as_bytes()));
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let port = port.to_string();
        check(asked, &Snapshot::of([("MCP_SERVER_HOST", "0.0.0.0"), ("MCP_SERVER_PORT", port.as_str())]))
            .await
    }

    #[tokio::test]
    async fn a_server_is_alive_if_it_answers_200() {
        assert!(check_server_that_answers(Question::Alive, "200 OK", "").await.is_ok());
        let error = check_server_that_answers(Question::Alive, "404 Not Found", "").await.unwrap_err();
        assert!(error.to_string().contains("status 404"), "{error:#}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_ready_says_why() {
        let body = r#"{"ready":false,"reason":"no slave is connected"}"#;
        assert!(check_server_that_answers(Question::Ready, "200 OK", r#"{"ready":true}"#).await.is_ok());
        let error = check_server_that_answers(Question::Ready, "503 Service Unavailable", body).await;
        let error = error.unwrap_err().to_string();
        assert!(error.ends_with("is not ready: no slave is connected"), "{error}");
        let error = check_server_that_answers(Question::Ready, "503 Service Unavailable", "busy").await;
        assert!(error.unwrap_err().to_string().contains("status 503"));
    }

    #[tokio::test]
    async fn a_missing_server_is_reported_with_its_variables() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port().to_string();
        let error =
            check(Question::Alive, &Snapshot::of([("MCP_SERVER_PORT", port.as_str())])).await.unwrap_err();
        assert!(error.to_string().contains("MCP_SERVER_PORT"), "{error:#}");
        let error = check(Question::Alive, &Snapshot::of([("MCP_SERVER_PORT", "0")])).await.unwrap_err();
        assert!(error.to_string().contains("any free port"), "{error:#}");
    }
}
