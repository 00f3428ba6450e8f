//! Which calls may be run a second time where nobody knows whether the first ever ended. Knows no slaves.

use std::time::Duration;

use protocol::link::call::ResponseEvent;
use protocol::mcp::failure::{self, Failure, FailureKind};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How often one call is run again at most.
const MOST_REPEATS: u8 = 2;

/// How long a call that is to run again waits for a slave that can take it.
pub(super) const WAIT: Duration = Duration::from_secs(10);

/// `RETRY_IDEMPOTENT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// At most once, for every tool.
    #[default]
    Never,
    /// Tools that say of themselves that it does no harm may run again.
    Harmless,
}

impl Repeat {
    /// How often a call of the tool with this definition may be run again.
    pub(super) fn allowance(self, definition: &RawValue) -> u8 {
        if self == Self::Harmless && is_harmless(definition) { MOST_REPEATS } else { 0 }
    }
}

/// By its annotations (MCP 2026-07-28, Tools, "Tool annotations"). One that calls itself destructive is not, whatever
/// else it says.
fn is_harmless(definition: &RawValue) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Annotations {
        #[serde(rename = "readOnlyHint")]
        read_only: Option<bool>,
        #[serde(rename = "idempotentHint")]
        idempotent: Option<bool>,
        #[serde(rename = "destructiveHint")]
        destructive: Option<bool>,
    }
    #[derive(Deserialize)]
    struct Definition {
        #[serde(default)]
        annotations: Option<Annotations>,
    }
    let Ok(Definition { annotations }) = serde_json::from_str(definition.get()) else { return false };
    let Annotations { read_only, idempotent, destructive } = annotations.unwrap_or_default();
    destructive != Some(true) && (read_only == Some(true) || idempotent == Some(true))
}

/// Why a call with this last part might be run again; `None`: it has an answer, or a failure that would come again.
pub(super) fn reason(part: &ResponseEvent) -> Option<&'static str> {
    match part {
        ResponseEvent::Failed(failure @ Failure::OutcomeUnknown) => Some(failure.spec().kind),
        ResponseEvent::End { error: true, more: false, payload, .. } => {
            let kind = failure::kind_in(payload).filter(|kind| *kind == FailureKind::BackendFailed);
            kind.map(FailureKind::as_str)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(repeat: Repeat, annotations: &str) -> u8 {
        let text = format!(r#"{{"name":"t","annotations":{annotations}}}"#);
        repeat.allowance(&RawValue::from_string(text).unwrap())
    }

    #[test]
    fn only_tools_that_say_so_and_do_not_contradict_themselves_run_again() {
        for (annotations, harmless) in [
            (r#"{"readOnlyHint":true}"#, true),
            (r#"{"idempotentHint":true}"#, true),
            (r#"{"idempotentHint":true,"destructiveHint":false}"#, true),
            (r#"{"readOnlyHint":true,"destructiveHint":true}"#, false),
            (r#"{"idempotentHint":true,"destructiveHint":true}"#, false),
            (r#"{"readOnlyHint":false}"#, false),
            (r#"{"destructiveHint":false}"#, false),
            (r#"{"readOnlyHint":"true"}"#, false),
            ("{}", false),
            ("null", false),
            ("[]", false),
        ] {
            let expected = if harmless { MOST_REPEATS } else { 0 };
            assert_eq!(allowance(Repeat::Harmless, annotations), expected, "{annotations}");
            assert_eq!(allowance(Repeat::Never, annotations), 0, "{annotations}");
        }
    }
}
