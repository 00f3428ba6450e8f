//! Connections to the slaves' port that ask for no WebSocket: health checks, plain requests, probes. Each gets an answer that
//! says what is expected here. Must not know links.

use std::net::SocketAddr;

use link::OpeningFault;
use runtime::admission::answer_and_close;
use runtime::repeats::{Kind, is_first};
use runtime::tls::MaybeTlsStream;

use super::audit;

/// Paths of health checks.
const HEALTH: [&str; 2] = ["/healthz", "/health"];

/// What a request that is no handshake is told.
const EXPECTED: &str = "This port takes the slaves of mcp-relay, over WebSocket (RFC 6455, version 13): set \
                        PROXY_SERVER_URL of a slave to its address. MCP is served on MCP_SERVER_PORT; GET /healthz \
                        is answered here, too.\n";

static STRANGERS: Kind = Kind {
    name: "stranger",
    write: |more| {
        audit::refused_more(more);
        let (peer, reason, count, seconds) = (more.peers(), more.reason, more.count, more.seconds);
        tracing::debug!(peer, "No slave: {reason}, and {count} more like it in the last {seconds} s");
    },
};

/// Reports a connection of a stranger: at debug, since probes of load balancers never end.
pub(super) fn report(peer: SocketAddr, reason: &'static str, detail: &dyn std::fmt::Display) {
    if is_first(&STRANGERS, Some(peer.ip()), reason) {
        audit::refused(peer, reason, || detail.to_string());
        tracing::debug!(%peer, "No slave: {detail}");
    }
}

/// Answers a request that is no handshake, and closes the connection. Connections that broke get no answer.
pub(super) async fn answer(stream: MaybeTlsStream, fault: &OpeningFault) {
    if let Some(answer) = answer_to(fault) {
        answer_and_close(stream, &answer).await;
    }
}

/// Returns whether a request is a health check, which is no failure of any kind.
pub(super) fn is_health_check(fault: &OpeningFault) -> bool {
    match fault {
        OpeningFault::Plain { method, path } => {
            let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
            matches!(method.as_str(), "GET" | "HEAD") && HEALTH.contains(&path)
        }
        _ => false,
    }
}

fn answer_to(fault: &OpeningFault) -> Option<String> {
    let (status, headers) = match fault {
        OpeningFault::Plain { .. } if is_health_check(fault) => ("200 OK", "Cache-Control: no-store\r\n"),
        OpeningFault::Plain { .. } | OpeningFault::Version => (
            "426 Upgrade Required",
            "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        ),
        OpeningFault::TooLong => ("431 Request Header Fields Too Large", ""),
        // A peer that speaks TLS takes this for what it is: no TLS.
        OpeningFault::Invalid(_) | OpeningFault::NotHttp { .. } => ("400 Bad Request", ""),
        OpeningFault::Closed | OpeningFault::Io(_) => return None,
    };
    let body = match fault {
        OpeningFault::Plain { .. } if status.starts_with("200") => "ok\n".to_owned(),
        OpeningFault::Plain { .. } => EXPECTED.to_owned(),
        other => format!("Refused: {other}.\n{EXPECTED}"),
    };
    let close = if headers.contains("Connection") { "" } else { "Connection: close\r\n" };
    let text = if is_head(fault) { "" } else { &body };
    Some(format!(
        "HTTP/1.1 {status}\r\n{headers}{close}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{text}",
        body.len()
    ))
}

fn is_head(fault: &OpeningFault) -> bool {
    matches!(fault, OpeningFault::Plain { method, .. } if method == "HEAD")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(method: &str, path: &str) -> OpeningFault {
        OpeningFault::Plain { method: method.into(), path: path.into() }
    }

    #[test]
    fn every_request_is_told_what_is_expected_and_health_checks_that_all_is_well() {
        for (fault, status) in [
            (plain("GET", "/healthz"), "200 "),
            (plain("HEAD", "/healthz"), "200 "),
            (plain("GET", "/health/"), "200 "),
            (plain("POST", "/healthz"), "426 "),
            (plain("GET", "/"), "426 "),
            (plain("PUT", "/any"), "426 "),
            (OpeningFault::Version, "426 "),
            (OpeningFault::Invalid("x".into()), "400 "),
            (OpeningFault::TooLong, "431 "),
            (OpeningFault::NotHttp { tls: false }, "400 "),
            (OpeningFault::NotHttp { tls: true }, "400 "),
        ] {
            let answer = answer_to(&fault).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{fault:?}: {head}");
            assert!(head.contains("close\r\n"), "{head}");
            let upgrade = head.contains("Upgrade: websocket") && head.contains("Sec-WebSocket-Version: 13");
            assert_eq!(upgrade, status == "426 ", "{head}");
            assert_eq!(body.contains("PROXY_SERVER_URL"), status != "200 ", "{body}");
            let length = format!("Content-Length: {}", body.len());
            assert_eq!(head.ends_with(&length), !is_head(&fault), "{head}");
        }
        assert_eq!(answer_to(&OpeningFault::Closed), None);
    }
}
