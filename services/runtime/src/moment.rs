//! Moments as text. Knows nothing of what happened.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// RFC 3339 in UTC, to the millisecond; empty for what lies beyond its years.
pub fn text(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    at.replace_millisecond(at.millisecond()).ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_is_written_in_utc_without_what_nobody_reads() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_795_398_055_123_456_789);
        assert_eq!(text(at), "2026-11-23T01:40:55.123Z");
        assert_eq!(text(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00Z");
    }
}
