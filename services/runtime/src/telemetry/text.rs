//! Lines for people: `time LEVEL [SERVICE] message field=value request_id=… span{field=value}`.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{DefaultFields, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::{LogContext, escape_controls};

/// Writes an event as one line.
pub(super) struct Lines {
    /// What runs, in upper case.
    pub(super) service: &'static str,
}

impl<S> FormatEvent<S, DefaultFields> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let ansi = writer.has_ansi_escapes();
        SystemTime.format_time(&mut writer)?;
        let level = *event.metadata().level();
        if ansi {
            write!(writer, " \u{1b}[{}m{level:>5}\u{1b}[0m", colour(level))?;
        } else {
            write!(writer, " {level:>5}")?;
        }
        write!(writer, " [{}] ", self.service)?;
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        writer.write_str(&escape_controls(&fields))?;
        if let Some(subject) = LogContext::now() {
            write!(writer, " {subject}")?;
        }
        for span in spans(context) {
            write!(writer, " {span}")?;
        }
        writeln!(writer)
    }
}

/// The spans around an event, outermost first, as `name{field=value}`.
pub(super) fn spans<S>(context: &FmtContext<'_, S, DefaultFields>) -> Vec<String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(scope) = context.event_scope() else { return Vec::new() };
    let mut spans = Vec::new();
    for span in scope.from_root() {
        let extensions = span.extensions();
        let fields = extensions.get::<FormattedFields<DefaultFields>>().map_or("", |f| f.fields.as_str());
        spans.push(format!("{}{{{}}}", span.name(), escape_controls(fields)));
    }
    spans
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
