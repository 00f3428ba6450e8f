//! Requests of the load generator, formatted once and patched with a new id for each call. Knows no connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memmem;
use protocol::mcp::era::{Era, Version, meta};
use serde_json::{Value, json};

/// Digits of every request id: patching one in never changes a length.
const ID_DIGITS: usize = 12;

/// The id that a template is built with.
const PLACEHOLDER: &str = "100000000000";

static NEXT_ID: AtomicU64 = AtomicU64::new(100_000_000_001);

/// An id that no other request of this run has: a client's ids must be unique within its session, and an answer
/// that carries the id is the answer to this very request.
pub(crate) fn fresh_id() -> [u8; ID_DIGITS] {
    let mut left = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let mut digits = [b'0'; ID_DIGITS];
    for digit in digits.iter_mut().rev() {
        // `left % 10` is a digit.
        #[allow(clippy::cast_possible_truncation)]
        let value = (left % 10) as u8;
        *digit += value;
        left /= 10;
    }
    digits
}

/// Formats the requests of one client.
#[derive(Clone, Debug)]
pub(crate) struct RequestBuilder {
    /// The server.
    pub(crate) address: SocketAddr,
    /// How the client speaks.
    pub(crate) era: Era,
    /// Legacy: the session id that the server gave.
    pub(crate) session: Option<String>,
}

/// Method of a stream of changes.
const LISTEN: &str = "subscriptions/listen";

/// What a modern client repeats in headers.
#[derive(Clone, Copy, Debug, Default)]
struct Mirrored<'a> {
    method: &'a str,
    name: Option<&'a str>,
}

/// Bytes that contain an id in one or more places.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    ids: Vec<usize>,
}

impl Template {
    /// Finds `id` wherever it stands in `bytes`.
    pub(crate) fn new(bytes: Vec<u8>, id: &[u8]) -> Self {
        let ids = memmem::find_iter(&bytes, id).collect();
        Self { bytes, ids }
    }

    /// The bytes with another id in all its places.
    pub(crate) fn with_id(&mut self, id: &[u8; ID_DIGITS]) -> &[u8] {
        for at in &self.ids {
            self.bytes[*at..*at + ID_DIGITS].copy_from_slice(id);
        }
        &self.bytes
    }

    /// Number of places of the id.
    pub(crate) fn id_count(&self) -> usize {
        self.ids.len()
    }
}

impl RequestBuilder {
    /// `tools/call` of `echo` with a text of `len` bytes that begins with the request's id.
    pub(crate) fn echo(&self, len: usize) -> Template {
        self.tool("echo", &json!({ "text": echo_text(PLACEHOLDER, len) }))
    }

    /// `tools/call` of `payload`.
    pub(crate) fn payload(&self, bytes: usize) -> Template {
        self.tool("payload", &json!({ "bytes": bytes }))
    }

    /// A request that names this.
    pub(crate) fn naming(&self, method: &str, name: &str, mut params: Value) -> Template {
        if self.era == Era::Modern {
            params["_meta"] = Self::meta();
        }
        let mirrored = Mirrored { method, name: Some(name) };
        Template::new(self.post(&request(method, &params), Some(mirrored)), PLACEHOLDER.as_bytes())
    }

    /// A response of a legacy client to a request of a server, whose `id` is raw JSON.
    pub(crate) fn reply(&self, id: &Value, result: &Value) -> Vec<u8> {
        self.post(&json!({ "jsonrpc": "2.0", "id": id, "result": result }), None)
    }

    /// Modern `subscriptions/listen` for changes of the list of tools, and of these resources.
    pub(crate) fn listen(&self, resources: &[&str]) -> Vec<u8> {
        let mut params = json!({ "notifications": { "toolsListChanged": true } });
        if !resources.is_empty() {
            params["notifications"]["resourceSubscriptions"] = json!(resources);
        }
        params["_meta"] = Self::meta();
        self.post(&request(LISTEN, &params), Some(Mirrored { method: LISTEN, name: None }))
    }

    fn meta() -> Value {
        json!({
            meta::PROTOCOL_VERSION: Version::NEWEST,
            meta::CLIENT_INFO: { "name": "mcp-relay-bench", "version": "1" },
            meta::CLIENT_CAPABILITIES: {},
        })
    }

    /// Legacy `initialize` of a client with these capabilities.
    pub(crate) fn initialize(&self, capabilities: &Value) -> Template {
        let params = json!({
            "protocolVersion": Version::NEWEST_LEGACY,
            "capabilities": capabilities,
            "clientInfo": { "name": "mcp-relay-bench", "version": "1" },
        });
        Template::new(self.post(&request("initialize", &params), None), PLACEHOLDER.as_bytes())
    }

    /// Legacy `notifications/initialized`.
    pub(crate) fn initialized(&self) -> Vec<u8> {
        self.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }), None)
    }

    /// `tools/call`.
    pub(crate) fn tool(&self, name: &str, arguments: &Value) -> Template {
        self.naming("tools/call", name, json!({ "name": name, "arguments": arguments }))
    }

    /// `mirrored`: method and name, which modern clients repeat in headers.
    fn post(&self, body: &Value, mirrored: Option<Mirrored<'_>>) -> Vec<u8> {
        let body = body.to_string();
        let mut head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        let mut header = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                head.push_str(part);
            }
        };
        match (self.era, mirrored) {
            (Era::Modern, mirrored) => {
                header("MCP-Protocol-Version", Version::NEWEST.as_str());
                let Mirrored { method, name } = mirrored.unwrap_or_default();
                header("Mcp-Method", method);
                if let Some(name) = name {
                    header("Mcp-Name", name);
                }
            }
            (Era::Legacy, _) if self.session.is_some() => {
                header("MCP-Protocol-Version", Version::NEWEST_LEGACY.as_str());
                header("Mcp-Session-Id", self.session.as_deref().unwrap_or_default());
            }
            (Era::Legacy, _) => {}
        }
        head.push_str("\r\n");
        head.push_str(&body);
        head.into_bytes()
    }
}

fn request(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 100_000_000_000_u64, "method": method, "params": params })
}

/// Argument of `echo`: the id and letters, `len` bytes in all.
pub(crate) fn echo_text(id: &str, len: usize) -> String {
    let letters = "the quick brown fox jumps over the lazy dog; ";
    id.chars().chain(letters.chars().cycle()).take(len).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(era: Era) -> RequestBuilder {
        RequestBuilder {
            address: ([127, 0, 0, 1], 80).into(),
            era,
            session: (era == Era::Legacy).then(|| "s".into()),
        }
    }

    fn body(bytes: &[u8]) -> Value {
        let at = memmem::find(bytes, b"\r\n\r\n").unwrap() + 4;
        let head = std::str::from_utf8(&bytes[..at]).unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", bytes.len() - at)), "{head}");
        serde_json::from_slice(&bytes[at..]).unwrap()
    }

    #[test]
    fn an_echo_carries_its_id_twice_and_the_text_its_length() {
        let mut template = builder(Era::Modern).echo(100);
        assert_eq!(template.id_count(), 2);
        let id = fresh_id();
        let text = std::str::from_utf8(&id).unwrap();
        let value = body(template.with_id(&id));
        assert_eq!(value["id"].to_string(), text);
        assert_eq!(value["params"]["arguments"]["text"], echo_text(text, 100));
        assert_eq!(echo_text(text, 100).len(), 100);
        assert_ne!(fresh_id(), id);
    }

    #[test]
    fn each_era_has_its_headers() {
        let modern = String::from_utf8(builder(Era::Modern).echo(20).bytes).unwrap();
        assert!(
            modern
                .contains("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n")
        );
        assert!(modern.contains(meta::CLIENT_CAPABILITIES) && !modern.contains("Mcp-Session-Id"));
        let legacy = String::from_utf8(builder(Era::Legacy).echo(20).bytes).unwrap();
        assert!(legacy.contains("MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: s\r\n"));
        assert!(!legacy.contains("_meta"));
        assert_eq!(
            body(&builder(Era::Legacy).initialize(&json!({})).bytes)["params"]["protocolVersion"],
            "2025-11-25"
        );
    }
}
