//! Check of a call's response, part by part, before a part goes on to the call's reader. Must not know links or slaves.
//!
//! The check belongs to the reader: chunks that a link delivers again after `attach` have been sorted out before.

use std::cell::OnceCell;

use crate::link::call::ResponseEvent;
use crate::mcp::call_message::{CallRules, MessageCheck, MessageFault, MessageShape, ProgressToken};
use crate::mcp::era::Era;
use crate::mcp::scan::ScanFault;

/// Check of one call's response. Allocates once at most, for the progress token, when the first event comes.
#[derive(Debug, Default)]
pub struct ResponseCheck {
    /// Message of which a part has come.
    message: Option<MessageCheck>,
    /// The call's token, once an event has come.
    token: OnceCell<Option<ProgressToken>>,
    /// The slave's label, once a request has come.
    label: OnceCell<Option<String>>,
}

impl ResponseCheck {
    /// Checks the next part. `request` is the client's whole JSON-RPC request, `era` that of the client, `label` what ids begin with that the
    /// slave gives out. After a fault nothing more of
    /// the response may be passed on.
    ///
    /// # Errors
    /// The part shows that its message is not one that the call may have.
    pub fn check(
        &mut self,
        part: &ResponseEvent,
        era: Era,
        request: &[u8],
        label: impl FnOnce() -> Option<String>,
    ) -> Result<(), MessageFault> {
        let (shape, more, payload) = match part {
            ResponseEvent::Failed(_) => return Ok(()),
            ResponseEvent::Event { request: true, more, payload, .. } => {
                (MessageShape::Request, *more, payload)
            }
            ResponseEvent::Event { more, payload, .. } => (MessageShape::Event, *more, payload),
            ResponseEvent::End { error: true, more, payload, .. } => (MessageShape::Error, *more, payload),
            ResponseEvent::End { more, payload, .. } => (MessageShape::Result, *more, payload),
        };
        let token = match shape {
            MessageShape::Event => self.token.get_or_init(|| ProgressToken::of_request(request)).as_ref(),
            MessageShape::Request | MessageShape::Result | MessageShape::Error => None,
        };
        let label = match shape {
            MessageShape::Request => self.label.get_or_init(label).as_deref(),
            _ => None,
        };
        let rules = CallRules { era, label, token };
        let check = self.message.get_or_insert_with(|| MessageCheck::new(shape));
        if check.shape() != shape {
            return Err(ScanFault::Truncated.into());
        }
        check.feed(payload, rules)?;
        if !more {
            check.finish(rules)?;
            self.message = None;
        }
        Ok(())
    }

    /// Begins anew: another slave has the call.
    pub fn restart(&mut self) {
        self.message = None;
        self.label = OnceCell::new();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::mcp::failure::Failure;

    const REQUEST: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":7}}}"#;

    fn event(payload: &'static str, more: bool) -> ResponseEvent {
        ResponseEvent::Event { seq: 0, more, request: false, payload: Bytes::from_static(payload.as_bytes()) }
    }

    fn end(payload: &'static str, more: bool, error: bool) -> ResponseEvent {
        let payload = Bytes::from_static(payload.as_bytes());
        ResponseEvent::End { seq: 0, more, error, tool_error: false, status: 0, payload }
    }

    #[test]
    fn a_response_in_parts_is_checked_across_them() {
        let mut check = ResponseCheck::default();
        let mut take = |part: ResponseEvent| check.check(&part, Era::Modern, REQUEST, || None);
        assert_eq!(take(event(r#"{"jsonrpc":"2.0","method":"notifications/prog"#, true)), Ok(()));
        assert_eq!(take(event(r#"ress","params":{"progressToken":7}}"#, false)), Ok(()));
        assert_eq!(take(end("", true, false)), Ok(()));
        assert_eq!(take(end("{", true, false)), Ok(()));
        assert_eq!(take(end("}", true, false)), Ok(()));
        assert_eq!(take(end(r#","id":8"#, false, false)), Err(ScanFault::Syntax.into()));
    }

    #[test]
    fn a_message_keeps_its_shape_and_comes_to_an_end() {
        let take = |parts: &[ResponseEvent]| {
            let mut check = ResponseCheck::default();
            parts.iter().try_for_each(|part| check.check(part, Era::Legacy, REQUEST, || Some("l.".into())))
        };
        let error = r#"{"code":1,"message":"x"}"#;
        assert_eq!(take(&[end(error, false, true)]), Ok(()));
        assert_eq!(take(&[end("{", true, false), end("}", false, true)]), Err(ScanFault::Truncated.into()));
        assert_eq!(take(&[end("{", true, false), end("", false, false)]), Err(ScanFault::Truncated.into()));
        assert_eq!(take(&[end("", false, false)]), Err(ScanFault::Truncated.into()));
        assert_eq!(take(&[end(error, true, true), ResponseEvent::Failed(Failure::OutcomeUnknown)]), Ok(()));
        let request = |id: &str, method: &str, more| {
            let payload = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{}}}}"#);
            ResponseEvent::Event { seq: 0, more, request: true, payload: payload.into() }
        };
        assert_eq!(take(&[request("\"l.1\"", "roots/list", false), end("{}", false, false)]), Ok(()));
        for (id, method) in [
            ("\"k.1\"", "roots/list"),
            ("\"l.\"", "roots/list"),
            ("1", "roots/list"),
            ("\"l.1\"", "tools/call"),
            ("\"l.1\",\"id\":\"l.2\"", "roots/list"),
            ("\"l.1\",\"result\":{}", "roots/list"),
        ] {
            assert_eq!(take(&[request(id, method, false)]), Err(MessageFault::NotARequest), "{id} {method}");
        }
        let modern = ResponseCheck::default().check(
            &request("\"l.1\"", "roots/list", false),
            Era::Modern,
            REQUEST,
            || Some("l.".into()),
        );
        assert_eq!(modern, Err(MessageFault::NotARequest), "modern clients answer no requests");
        let log = r#"{"jsonrpc":"2.0","method":"notifications/message"}"#;
        assert_eq!(take(&[event(log, false), event(log, false), end("{}", false, false)]), Ok(()));
    }

    #[test]
    fn another_slave_begins_anew() {
        let mut check = ResponseCheck::default();
        assert_eq!(check.check(&end("{\"a\":", true, false), Era::Legacy, REQUEST, || None), Ok(()));
        check.restart();
        assert_eq!(check.check(&end("{}", false, false), Era::Legacy, REQUEST, || None), Ok(()));
    }
}
