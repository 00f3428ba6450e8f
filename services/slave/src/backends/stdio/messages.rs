//! The slave's own messages to a child, each one line. Must not know the readers of the answers.

use bytes::Bytes;
use protocol::mcp::era::{Era, Version, meta};
use protocol::mcp::log_level::LogLevel;

use crate::splice::strip_newlines;

/// The name and version under which the slave introduces itself, in both eras.
const CLIENT_INFO: &str = concat!(r#"{"name":"mcp-relay","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// Returns the required members of a modern request's `_meta`, for the slave's own requests and legacy clients' calls.
/// `capabilities` is JSON.
pub(super) fn modern_meta(capabilities: &str) -> String {
    format!(
        r#""{}":"{}","{}":{CLIENT_INFO},"{}":{capabilities}"#,
        meta::PROTOCOL_VERSION,
        Version::NEWEST.as_str(),
        meta::CLIENT_INFO,
        meta::CLIENT_CAPABILITIES
    )
}

fn line(mut text: String) -> Bytes {
    text.push('\n');
    text.into()
}

/// Returns a request of the slave itself. `params` are members without braces; the era's metadata is added, with all that the relay carries,
/// so that lists have what a backend hides from lesser clients.
pub(super) fn request(id: u64, method: &str, params: &str, era: Era) -> Bytes {
    match era {
        Era::Modern => able_request(id, method, params, CARRIED),
        Era::Legacy => {
            line(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}}}}}"#))
        }
    }
}

/// Returns a modern request that declares these capabilities, a JSON object. `params` are members without braces.
pub(super) fn able_request(id: u64, method: &str, params: &str, capabilities: &str) -> Bytes {
    let meta = modern_meta(capabilities);
    let comma = if params.is_empty() { "" } else { "," };
    line(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{comma}"_meta":{{{meta}}}}}}}"#
    ))
}

/// What the relay can carry of a child's requests to clients, and user interfaces (MCP Apps). A client with less is found out at the request.
pub(super) const CARRIED: &str = r#"{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{"context":{},"tools":{}},"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}}}"#;

/// Returns `initialize` with the newest legacy version and these capabilities, a JSON object.
pub(super) fn initialize(id: u64, capabilities: &str) -> Bytes {
    let params = format!(
        r#""protocolVersion":"{}","capabilities":{capabilities},"clientInfo":{CLIENT_INFO}"#,
        Version::NEWEST_LEGACY.as_str()
    );
    request(id, "initialize", &params, Era::Legacy)
}

/// Returns `logging/setLevel`, which legacy children take.
pub(super) fn set_log_level(id: u64, level: LogLevel) -> Bytes {
    request(id, "logging/setLevel", &format!(r#""level":"{}""#, level.as_str()), Era::Legacy)
}

/// Returns `notifications/initialized`.
pub(super) fn initialized() -> Bytes {
    line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.into())
}

/// Returns a client's message as one line.
pub(super) fn passed(message: &[u8]) -> Bytes {
    let mut text = message.to_vec();
    strip_newlines(&mut text);
    text.push(b'\n');
    text.into()
}

/// Returns `notifications/cancelled` for the request with this id.
pub(super) fn cancelled(id: u64, reason: &str) -> Bytes {
    let reason = serde_json::Value::from(reason);
    line(format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":{reason}}}}}"#
    ))
}

/// Returns the response to a child's `ping`; `id` is JSON.
pub(super) fn ping_response(id: &str) -> Bytes {
    line(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))
}

/// Returns the error response to a request of the child; `id` is JSON.
pub(super) fn refuse_request(id: &[u8], code: i32, why: &str) -> Bytes {
    let error = serde_json::json!({ "code": code, "message": why }).to_string();
    answer(id, "error", error.as_bytes())
}

/// Returns the response to a request of the child, with a `result` or an `error`; `id` and `value` are JSON.
pub(super) fn answer(id: &[u8], member: &str, value: &[u8]) -> Bytes {
    let head = format!(r#","{member}":"#);
    let mut text = [br#"{"jsonrpc":"2.0","id":"#, id, head.as_bytes(), value, b"}"].concat();
    strip_newlines(&mut text);
    text.push(b'\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_messages_are_single_lines_of_json_rpc() {
        for message in [
            request(1, "tools/list", "", Era::Legacy),
            request(1, "tools/list", r#""cursor":"x""#, Era::Modern),
            request(1, "server/discover", "", Era::Modern),
            initialize(1, CARRIED),
            set_log_level(1, LogLevel::Debug),
            initialized(),
            cancelled(3, "too\n\"slow\""),
            ping_response("\"a\""),
            refuse_request(b"4", -32601, "no \"such\" method"),
        ] {
            let value: serde_json::Value = serde_json::from_slice(&message).unwrap();
            assert_eq!(value["jsonrpc"], "2.0");
            assert_eq!(memchr::memchr(b'\n', &message), Some(message.len() - 1));
        }
    }
}
