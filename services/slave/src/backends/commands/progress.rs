//! Signs of life of a command, and progress notifications for a client that asked for them. Must not know processes.

use std::borrow::Cow;

use protocol::mcp::failure::Failure;
use regex::Captures;
use tokio::sync::mpsc;

use crate::backends::redactor::Redactor;
use crate::call::Exchange;

/// Characters of a message.
const MAX_MESSAGE: usize = 500;

/// A sign of life.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sign {
    /// Some output.
    Alive,
    /// A line that is progress.
    Progress {
        /// How far it is; `None`: the pattern does not tell.
        progress: Option<f64>,
        /// How far it goes.
        total: Option<f64>,
        /// What is being done.
        message: Option<String>,
    },
}

impl Sign {
    /// Returns what a line says by the groups of its pattern. Without any group the whole match is the message.
    pub(super) fn progress(found: &Captures<'_>) -> Self {
        let number = |name: &str| {
            let number: f64 = found.name(name)?.as_str().trim().parse().ok()?;
            Some(number).filter(|number| number.is_finite())
        };
        let whole = || (found.len() == 1).then(|| found.get_match().as_str());
        let message = found.name("message").map(|group| group.as_str()).or_else(whole);
        Self::Progress {
            progress: number("progress"),
            total: number("total"),
            message: message.map(str::to_owned),
        }
    }
}

/// A reporter of progress to one client.
pub(super) struct ProgressReporter<'a> {
    /// JSON; `None`: the client asked for no progress.
    token: Option<Cow<'a, str>>,
    redactor: &'a Redactor,
    last: Option<f64>,
}

impl<'a> ProgressReporter<'a> {
    /// Returns a reporter for the client's progress token, which is JSON.
    pub(super) fn new(token: Option<Cow<'a, str>>, redactor: &'a Redactor) -> Self {
        Self { token, redactor, last: None }
    }

    /// Passes signs on until the channel closes. Fails when the client is gone.
    pub(super) async fn run(
        &mut self,
        mut signs: mpsc::Receiver<Sign>,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        while let Some(sign) = signs.recv().await {
            exchange.alive();
            if let Some(event) = self.event(sign) {
                exchange.notify(event.into()).await?;
            }
        }
        Ok(())
    }

    /// Returns the notification; `None` where there is nothing to tell: progress must grow.
    fn event(&mut self, sign: Sign) -> Option<String> {
        let (token, Sign::Progress { progress, total, message }) = (self.token.as_ref()?, sign) else {
            return None;
        };
        let progress = progress.unwrap_or(self.last.map_or(1.0, |last| last + 1.0));
        if self.last.is_some_and(|last| progress <= last) {
            return None;
        }
        self.last = Some(progress);
        let mut params = format!("\"progressToken\":{token},\"progress\":{progress}");
        if let Some(total) = total {
            params.push_str(&format!(",\"total\":{total}"));
        }
        if let Some(message) = message {
            let message = self.redactor.redact(message.trim()).replace(char::is_control, " ");
            let short: String = message.chars().take(MAX_MESSAGE).collect();
            params.push_str(&format!(",\"message\":{}", serde_json::Value::from(short)));
        }
        Some(format!("{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{{params}}}}}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;
    use runtime::secret::Secret;

    fn events(pattern: &str, lines: &[&str]) -> Vec<String> {
        let (pattern, secret) = (Regex::new(pattern).unwrap(), [Secret::new("hush-hush")]);
        let redactor = Redactor::new(&secret);
        let mut reporter = ProgressReporter::new(Some("\"t\"".into()), &redactor);
        let signs =
            lines.iter().filter_map(|line| pattern.captures(line)).map(|found| Sign::progress(&found));
        let events = signs.filter_map(|sign| reporter.event(sign));
        events.map(|event| event.split_once(r#""progressToken":"t","#).unwrap().1.replace("}}", "")).collect()
    }

    #[test]
    fn groups_of_the_pattern_become_members() {
        let pattern = r"^(?<progress>[\d.]+)%(?: of (?<total>\d+))?(?: (?<message>.*))?$";
        let lines = ["0%", "1.5% of 100 read\u{7} hush-hush", "no", "50%", "50%", "20% back", "100% of 100"];
        assert_eq!(
            events(pattern, &lines),
            [
                r#""progress":0"#,
                r#""progress":1.5,"total":100,"message":"read  [masked]""#,
                r#""progress":50"#,
                r#""progress":100,"total":100"#,
            ]
        );
    }

    #[test]
    fn lines_without_a_number_are_counted() {
        assert_eq!(
            events("^done .*", &["done a", "x", "done b"]),
            [r#""progress":1,"message":"done a""#, r#""progress":2,"message":"done b""#]
        );
        assert_eq!(events("(?<progress>[a-z]+)", &["abc"]), [r#""progress":1"#]);
    }

    #[test]
    fn without_a_token_there_is_no_event() {
        let redactor = Redactor::default();
        let mut reporter = ProgressReporter::new(None, &redactor);
        let sign = Sign::Progress { progress: Some(1.0), total: None, message: None };
        assert_eq!(reporter.event(sign), None);
    }
}
