//! Progress of a call, read from a progress notification. Must not know other messages, and keeps no text.

use std::borrow::Cow;

use serde::Deserialize;

/// Largest notification that is read, in bytes: the message in it may be of any length.
const MAX_NOTIFICATION: usize = 16 * 1024;

/// Numbers of a `notifications/progress` (2026-07-28 and 2025-11-25, Progress).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Progress {
    /// Progress so far.
    pub progress: f64,
    /// Progress at the end, if it is known.
    #[serde(default)]
    pub total: Option<f64>,
}

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    params: Progress,
}

impl Progress {
    /// Reads a progress notification; `None` for any other message.
    pub fn read(message: &[u8]) -> Option<Self> {
        if message.len() > MAX_NOTIFICATION {
            return None;
        }
        let Notification { method, params } = serde_json::from_slice(message).ok()?;
        (method == "notifications/progress").then_some(params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_progress_is_read() {
        let read = |text: &str| Progress::read(text.as_bytes());
        let message = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":2,"total":4.5,"message":"x"}}"#;
        assert_eq!(read(message), Some(Progress { progress: 2.0, total: Some(4.5) }));
        let message = r#"{"method":"notifications\/progress","params":{"progress":0.25}}"#;
        assert_eq!(read(message), Some(Progress { progress: 0.25, total: None }));
        for other in
            [r#"{"method":"notifications/message","params":{"progress":1}}"#, r#"{"method":"#, "[]", "{}"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
