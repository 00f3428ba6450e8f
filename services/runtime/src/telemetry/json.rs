//! The JSON format of log lines, one object a line: `timestamp`, `level`, `service`, `message`, `target`, `spans`, the event's fields,
//! and for lines about a call `request_id` and `trace_id`.
//!
//! A field with one of the first six names is written as `fields.<name>`.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{DefaultFields, FormatEvent, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use super::context::LogContext;
use super::spans::spans;
use crate::{moment, printable};

const RESERVED: [&str; 6] = ["timestamp", "level", "service", "message", "target", "spans"];

/// Formatter that writes an event as one JSON object.
pub(super) struct JsonFormat {
    /// Name of the service, in upper case.
    pub(super) service: &'static str,
}

/// Returns the line of an error that ends the process, in the form of the log's lines, without a newline: for errors before
/// the log is set up and after it has ended. `service` is in upper case.
pub fn fatal_line(service: &str, message: &str) -> String {
    let line = json!({
        "timestamp": moment::text(std::time::SystemTime::now()),
        "level": "ERROR",
        "service": service,
        "message": message,
        "target": "mcp_relay",
    });
    printable::json(&line.to_string()).into_owned()
}

impl<S> FormatEvent<S, DefaultFields> for JsonFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Fields { message: String::new(), others: Map::new() };
        event.record(&mut fields);
        let mut object = Map::new();
        object.insert("timestamp".into(), timestamp.into());
        object.insert("level".into(), event.metadata().level().as_str().into());
        object.insert("service".into(), self.service.into());
        object.insert("message".into(), fields.message.into());
        object.insert("target".into(), event.metadata().target().into());
        let spans = spans(context);
        if !spans.is_empty() {
            object.insert("spans".into(), spans.into());
        }
        object.append(&mut fields.others);
        for (name, value) in LogContext::current().into_iter().flat_map(LogContext::fields) {
            object.insert(name.into(), value.into());
        }
        let line = serde_json::to_string(&object).map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", printable::json(&line))
    }
}

/// Visitor that collects an event's fields.
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let key = if RESERVED.contains(&name) { format!("fields.{name}") } else { name.to_owned() };
        self.others.insert(key, value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.put(field, value.into());
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string().into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.put(field, format!("{value:?}").into());
        }
    }
}
