//! Points in time as text. Must not know the events.

use std::time::SystemTime;

use time::OffsetDateTime;

/// RFC 3339 in UTC, always with milliseconds: all texts have the same length and sort by time.
pub fn text(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, milli) = at.to_hms_milli();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", u8::from(month))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_written_in_utc_with_milliseconds() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_795_398_055_123_456_789);
        assert_eq!(text(at), "2026-11-23T01:40:55.123Z");
        assert_eq!(text(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }
}
