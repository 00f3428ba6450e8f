//! The text format of log lines: `time LEVEL [SERVICE] message field=value request_id=… span{field=value}`.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{DefaultFields, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use super::context::LogContext;
use super::spans::spans;
use crate::printable;

/// Formatter that writes an event as one line of text.
pub(super) struct TextFormat {
    /// Name of the service, in upper case.
    pub(super) service: &'static str,
    /// Whether levels have a colour. Fields never have one: their escapes are those of peers.
    pub(super) colours: Colours,
}

/// Whether the reader of the log is a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    On,
    Off,
}

impl<S> FormatEvent<S, DefaultFields> for TextFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let level = *event.metadata().level();
        if self.colours == Colours::On {
            write!(writer, " \u{1b}[{}m{level:>5}\u{1b}[0m", colour(level))?;
        } else {
            write!(writer, " {level:>5}")?;
        }
        write!(writer, " [{}] ", self.service)?;
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        writer.write_str(&printable::line(&fields))?;
        if let Some(call) = LogContext::current() {
            write!(writer, " {call}")?;
        }
        for span in spans(context) {
            write!(writer, " {span}")?;
        }
        writeln!(writer)
    }
}

fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}
