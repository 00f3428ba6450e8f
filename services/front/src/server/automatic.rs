//! Responses that hyper writes by itself to a head that it cannot read: status only. They are replaced by such that say
//! which limit it was. Must not know connections.

use axum::http::StatusCode;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;

use super::limits::HEAD_LIMIT;
use crate::jsonrpc::{UnknownId, error_without_id};

/// Returns the response in place of one that hyper wrote by itself; `None` if these bytes are none. Only to be asked while
/// no request is under way, since then no other response begins.
pub(super) fn replaced(bytes: &[u8]) -> Option<String> {
    // The status first: nearly every head that is asked about is another response's.
    let failure = bytes.strip_prefix(b"HTTP/1.")?.get(2..5).and_then(failure_of)?;
    // Large bodies end in another way, and are not read.
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?.to_ascii_lowercase();
    head.contains("\r\ncontent-length: 0\r\n").then(|| answer(&failure))
}

fn failure_of(status: &[u8]) -> Option<Failure> {
    match status {
        b"431" => Some(Failure::HeadTooLarge(HEAD_LIMIT)),
        b"414" => Some(Failure::TargetTooLong("at most 65534 bytes are read")),
        b"400" => Some(Failure::BadHttp("its head cannot be read")),
        _ => None,
    }
}

/// Builds a whole HTTP response, after which the connection closes.
pub(super) fn answer(failure: &Failure) -> String {
    // The client's version is not known.
    let body = error_without_id(failure, Era::Legacy, UnknownId::Absent);
    let status = StatusCode::from_u16(failure.spec().legacy).unwrap_or(StatusCode::BAD_REQUEST);
    format!(
        "HTTP/1.1 {} {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_hyper_writes_by_itself_is_replaced() {
        for (status, kind) in [
            ("431 Request Header Fields Too Large", "head_too_large"),
            ("414 URI Too Long", "target_too_long"),
            ("400 Bad Request", "bad_http"),
        ] {
            let own = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\ndate: now\r\n\r\n");
            let answer = replaced(own.as_bytes()).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\nConnection: close\r\n")), "{head}");
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["error"]["data"]["kind"], kind);
            assert!(body.get("id").is_none(), "neither a guess nor null: {body}");
        }
        for other in [
            "",
            "HTTP/1.1 ",
            "x",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ] {
            assert_eq!(replaced(other.as_bytes()), None, "{other}");
        }
    }
}
