//! The whole answer to an MCP request, with accessors for assertions. Knows nothing of HTTP connections.

use serde_json::Value;

/// The whole answer to an MCP request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// Every JSON-RPC message in order; the response is the last.
    pub messages: Vec<Value>,
}

impl Answer {
    /// Returns the response; panics unless it is the last message and the only response.
    pub fn response(&self) -> &Value {
        let responses = self.messages.iter().filter(|m| m.get("method").is_none()).count();
        assert_eq!(responses, 1, "exactly one response: {:?}", self.messages);
        let last = self.messages.last().expect("a message");
        assert!(last.get("method").is_none(), "the response comes last: {:?}", self.messages);
        last
    }

    /// Returns `result`; panics if there is an error.
    pub fn result(&self) -> &Value {
        let response = self.response();
        response.get("result").unwrap_or_else(|| panic!("a result, not {response}"))
    }

    /// Text of the first content block.
    pub fn text(&self) -> &str {
        self.result()["content"][0]["text"].as_str().unwrap_or_else(|| panic!("text in {}", self.result()))
    }

    /// Returns `error`; panics if there is a result.
    pub fn error(&self) -> &Value {
        let response = self.response();
        response.get("error").unwrap_or_else(|| panic!("an error, not {response}"))
    }

    /// `error.code`.
    pub fn code(&self) -> i64 {
        self.error()["code"].as_i64().expect("an error code")
    }

    /// `error.data.kind`: the stable name of the failure.
    pub fn kind(&self) -> &str {
        self.error()["data"]["kind"].as_str().unwrap_or_else(|| panic!("a kind in {}", self.error()))
    }

    /// `progress` of every progress notification, in order.
    pub fn progress(&self) -> Vec<f64> {
        let notices = self.messages.iter().filter(|m| m["method"] == "notifications/progress");
        notices.map(|m| m["params"]["progress"].as_f64().expect("progress")).collect()
    }

    /// Whether it is an SSE stream.
    pub fn is_stream(&self) -> bool {
        self.content_type.starts_with("text/event-stream")
    }
}
