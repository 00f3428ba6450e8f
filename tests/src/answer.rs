//! What came back for one MCP request, taken apart for assertions. Knows nothing of how it came.

use serde_json::Value;

/// The whole answer.
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
    /// The response; panics where the last message is none, or not the only one.
    pub fn response(&self) -> &Value {
        let responses = self.messages.iter().filter(|m| m.get("method").is_none()).count();
        assert_eq!(responses, 1, "exactly one response: {:?}", self.messages);
        let last = self.messages.last().expect("a message");
        assert!(last.get("method").is_none(), "the response comes last: {:?}", self.messages);
        last
    }

    /// `result`; panics with the error where there is one.
    pub fn result(&self) -> &Value {
        let response = self.response();
        response.get("result").unwrap_or_else(|| panic!("a result, not {response}"))
    }

    /// Text of the first content block.
    pub fn text(&self) -> &str {
        self.result()["content"][0]["text"].as_str().unwrap_or_else(|| panic!("text in {}", self.result()))
    }

    /// `error`; panics with the result where there is one.
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
