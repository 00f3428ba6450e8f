//! Which calls may be run again when their outcome is unknown or their backend failed. Must not know slaves.

use std::time::Duration;

use protocol::link::call::ResponseEvent;
use protocol::mcp::catalog::CatalogEntry;
use protocol::mcp::failure::{self, Failure, FailureKind};
use protocol::mcp::kind::Kind;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::RetryPolicy;

/// How often one call may be run again.
const MAX_RETRIES: u8 = 2;

/// How long a call that is to be run again looks for a slave.
pub(super) const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns how often a request for what slaves offer with these definitions may be run again: all must allow it. Prompts and resources are
/// only read.
pub(super) fn max_retries(policy: RetryPolicy, kind: Kind, definitions: &[&CatalogEntry]) -> u8 {
    let allows = |entry: &&CatalogEntry| kind != Kind::Tool || is_idempotent(&entry.definition);
    if policy == RetryPolicy::Idempotent && definitions.iter().all(allows) { MAX_RETRIES } else { 0 }
}

/// Whether the annotations say that a repeated call does no harm (MCP 2026-07-28, Tools, "Tool annotations"). A tool that
/// is annotated as destructive does not count, whatever else its annotations say.
fn is_idempotent(definition: &RawValue) -> bool {
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

/// Returns why a call that ends with this event may be run again; `None` for results and for failures that would recur.
pub(super) fn reason(event: &ResponseEvent) -> Option<&'static str> {
    match event {
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

    fn retries(policy: RetryPolicy, annotations: &str) -> u8 {
        max_retries(policy, Kind::Tool, &[&entry(annotations)])
    }

    fn entry(annotations: &str) -> CatalogEntry {
        let text = format!(r#"{{"name":"t","annotations":{annotations}}}"#);
        CatalogEntry::named(&RawValue::from_string(text).unwrap()).unwrap()
    }

    #[test]
    fn all_slaves_of_a_pool_must_say_that_a_call_may_be_repeated() {
        let (yes, no) = (entry(r#"{"idempotentHint":true}"#), entry("{}"));
        assert_eq!(max_retries(RetryPolicy::Idempotent, Kind::Tool, &[&yes, &yes]), MAX_RETRIES);
        for mixed in [[&yes, &no], [&no, &yes]] {
            assert_eq!(max_retries(RetryPolicy::Idempotent, Kind::Tool, &mixed), 0);
            assert_eq!(max_retries(RetryPolicy::Idempotent, Kind::Resource, &mixed), MAX_RETRIES);
        }
    }

    #[test]
    fn only_tools_that_are_annotated_as_idempotent_and_not_destructive_are_run_again() {
        for (annotations, idempotent) in [
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
            let expected = if idempotent { MAX_RETRIES } else { 0 };
            assert_eq!(retries(RetryPolicy::Idempotent, annotations), expected, "{annotations}");
            assert_eq!(retries(RetryPolicy::Never, annotations), 0, "{annotations}");
        }
    }
}
