//! What a call's log lines and spans are about. Knows neither links nor slaves.

use protocol::header::CallHeader;
use protocol::ids::CallId;
use protocol::trace::trace_id;
use runtime::telemetry::Subject;

/// The trace that a call is part of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallTrace {
    id: Option<u128>,
}

impl CallTrace {
    /// By what the client sent.
    pub(crate) fn of(header: &CallHeader) -> Self {
        Self { id: header.traceparent.as_deref().and_then(trace_id) }
    }

    /// What lines about the call are about while it has this id.
    pub(crate) fn subject(&self, call: CallId) -> Subject {
        Subject::new(call.0, self.id)
    }
}

#[cfg(test)]
mod tests {
    use protocol::ids::InstanceId;

    use super::*;

    #[test]
    fn the_id_in_the_field_is_the_one_in_the_phrases() {
        let call = CallId::new(InstanceId(0xabc), 0x12);
        let subject = CallTrace::default().subject(call);
        assert_eq!(subject.to_string(), format!("request_id={call}"));
    }
}
