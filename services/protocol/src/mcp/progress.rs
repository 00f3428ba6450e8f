//! How far a call says it is, read from a progress notification. Looks at nothing else, and keeps no text of it.

use std::borrow::Cow;

use serde::Deserialize;

/// A longer notification is not looked at, in bytes: its message may say anything.
const LONGEST: usize = 16 * 1024;

/// The numbers of a `notifications/progress` (2026-07-28 and 2025-11-25, Progress).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Progress {
    /// So much is done.
    pub progress: f64,
    /// Of so much, if it is known.
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
    /// `None`: it is another message, or none.
    pub fn read(message: &[u8]) -> Option<Self> {
        if message.len() > LONGEST {
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
        let told = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":2,"total":4.5,"message":"x"}}"#;
        assert_eq!(read(told), Some(Progress { progress: 2.0, total: Some(4.5) }));
        let told = r#"{"method":"notifications\/progress","params":{"progress":0.25}}"#;
        assert_eq!(read(told), Some(Progress { progress: 0.25, total: None }));
        for other in
            [r#"{"method":"notifications/message","params":{"progress":1}}"#, r#"{"method":"#, "[]", "{}"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
