//! A line of the audit stream: an event with its fields and payloads. Knows no event by name.

use std::time::SystemTime;

use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::redact::Redaction;
use crate::{moment, printable};

/// Longest text of a field, in characters; longer ones are cut, as texts come from clients and peers.
const MAX_TEXT_CHARS: usize = 512;

/// Largest payload that is written, in bytes; for a larger payload only the size is written.
const MAX_PAYLOAD_BYTES: usize = 16 * 1024;

/// An event with its fields, in the order of their addition, and its payloads.
#[derive(Debug)]
pub struct AuditLine {
    event: &'static str,
    at: SystemTime,
    fields: Vec<(&'static str, Value)>,
    payloads: Vec<(&'static str, Payload)>,
}

/// Arguments or a result of a call. Created only where [`super::with_payloads`] is true.
#[derive(Clone, Debug)]
pub struct Payload {
    bytes: usize,
    /// The JSON text; `None` for a payload larger than [`MAX_PAYLOAD_BYTES`].
    text: Option<Bytes>,
    of: Of,
}

#[derive(Clone, Copy, Debug)]
enum Of {
    /// `params.arguments` of a JSON-RPC request.
    Arguments,
    /// The whole JSON text.
    All,
}

impl AuditLine {
    /// Creates an event with the current time.
    pub fn new(event: &'static str) -> Self {
        Self { event, at: SystemTime::now(), fields: Vec::with_capacity(12), payloads: Vec::new() }
    }

    /// Adds a field; null, the empty text and the empty list are left out. Long texts are cut.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::Null => return self,
            Value::String(text) if text.is_empty() => return self,
            Value::Array(list) if list.is_empty() => return self,
            Value::String(text) => Value::String(cut(text)),
            other => other,
        };
        self.fields.push((name, value));
        self
    }

    /// Adds a payload, which is redacted when the line is written.
    #[must_use]
    pub fn with_payload(mut self, name: &'static str, payload: Option<Payload>) -> Self {
        self.payloads.extend(payload.map(|payload| (name, payload)));
        self
    }

    /// Writes the line as JSON, without a newline.
    pub(super) fn write(&self, out: &mut Vec<u8>, service: &str, redaction: &Redaction) {
        let whole = Whole { line: self, service, redaction };
        // Cannot fail: keys are texts and writing to a string does not fail.
        if let Ok(text) = serde_json::to_string(&whole) {
            out.extend_from_slice(printable::json(&text).as_bytes());
        }
    }
}

impl Payload {
    /// Creates a payload of `params.arguments` in `message`, the client's JSON-RPC request.
    pub fn arguments(message: &Bytes) -> Self {
        Self { of: Of::Arguments, ..Self::all(message) }
    }

    /// Creates a payload of a whole JSON text.
    pub fn all(json: &Bytes) -> Self {
        // A copy: a slice would keep the whole buffer alive that contains it.
        let text = (json.len() <= MAX_PAYLOAD_BYTES).then(|| Bytes::copy_from_slice(json));
        Self { bytes: json.len(), text, of: Of::All }
    }

    /// Creates a payload of which only the size, in bytes, is known.
    pub fn size(bytes: usize) -> Self {
        Self { bytes, text: None, of: Of::All }
    }

    fn read(&self, redaction: &Redaction) -> Option<Value> {
        #[derive(serde::Deserialize)]
        struct Request<'a> {
            #[serde(borrow)]
            params: Params<'a>,
        }
        #[derive(serde::Deserialize)]
        struct Params<'a> {
            #[serde(borrow)]
            arguments: Option<&'a RawValue>,
        }
        let text = self.text.as_ref()?;
        let mut value: Value = match self.of {
            Of::All => serde_json::from_slice(text).ok()?,
            Of::Arguments => {
                let request: Request<'_> = serde_json::from_slice(text).ok()?;
                request
                    .params
                    .arguments
                    .map_or(Some(Value::Null), |raw| serde_json::from_str(raw.get()).ok())?
            }
        };
        redaction.apply(&mut value);
        Some(value)
    }
}

struct Whole<'a> {
    line: &'a AuditLine,
    service: &'a str,
    redaction: &'a Redaction,
}

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &moment::text(self.line.at))?;
        map.serialize_entry("service", self.service)?;
        map.serialize_entry("event", self.line.event)?;
        for (name, value) in &self.line.fields {
            map.serialize_entry(name, value)?;
        }
        for (name, payload) in &self.line.payloads {
            let value = payload.read(self.redaction);
            map.serialize_entry(name, &value.unwrap_or_else(|| json!({ "bytes": payload.bytes })))?;
        }
        map.end()
    }
}

fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(MAX_TEXT_CHARS) {
        text.truncate(at);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &AuditLine) -> String {
        let mut out = Vec::new();
        line.write(&mut out, "PROXY", &Redaction::new(&["*token*".to_owned()], None));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_keep_their_order_and_empty_values_are_left_out() {
        let line = AuditLine::new("call").with("tool", "a\n\"b").with("peer", "").with("slave", Value::Null);
        let text = written(&line.with("duration_ms", 1.5).with("client", "x".repeat(1000)));
        assert!(text.starts_with("{\"time\":\"20"), "{text}");
        assert!(
            text.contains(r#","service":"PROXY","event":"call","tool":"a\n\"b","duration_ms":1.5,"#),
            "{text}"
        );
        assert!(!text.contains("peer") && !text.contains("slave") && !text.contains('\n'), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["client"].as_str().unwrap().chars().count(), MAX_TEXT_CHARS + 1);
    }

    #[test]
    fn hostile_characters_of_peers_are_escaped_in_the_stream() {
        const HOSTILE: &str = "\u{1b}[2J\u{9b}\u{202e}\u{200b}\u{e0041}\u{2028}";
        let payload = Bytes::from(serde_json::to_vec(&json!({ HOSTILE: HOSTILE })).unwrap());
        let line =
            AuditLine::new("call").with("tool", HOSTILE).with_payload("result", Some(Payload::all(&payload)));
        let text = written(&line);
        assert!(!text.chars().any(printable::is_escaped), "{text:?}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["tool"], &value["result"]), (&json!(HOSTILE), &json!({ HOSTILE: HOSTILE })));
    }

    #[test]
    fn payloads_are_read_redacted_and_bounded() {
        let message = r#"{"jsonrpc":"2.0","id":1,"params":{"name":"t","arguments":{"token":"hush","n":1}}}"#;
        let small = Bytes::from_static(br#"{"content":[]}"#);
        let large = Bytes::from(format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES)));
        let line = AuditLine::new("call")
            .with_payload("arguments", Some(Payload::arguments(&message.into())))
            .with_payload("result", Some(Payload::all(&small)))
            .with_payload("large", Some(Payload::all(&large)))
            .with_payload("broken", Some(Payload::all(&Bytes::from_static(b"{"))))
            .with_payload("none", None);
        let value: Value = serde_json::from_str(&written(&line)).unwrap();
        assert_eq!(value["arguments"], json!({ "token": "[redacted]", "n": 1 }));
        assert_eq!(value["result"], json!({ "content": [] }));
        assert_eq!(value["large"], json!({ "bytes": MAX_PAYLOAD_BYTES + 2 }));
        assert_eq!(value["broken"], json!({ "bytes": 1 }));
        assert!(value.get("none").is_none());
    }

    #[test]
    fn a_call_without_arguments_has_none() {
        let payload = Payload::arguments(&Bytes::from_static(br#"{"params":{"name":"t"}}"#));
        let line = AuditLine::new("call").with_payload("arguments", Some(payload));
        assert!(written(&line).ends_with(r#""arguments":null}"#));
    }
}
