//! Logging: set up once, to standard error or standard output, as lines of text or as JSON objects. Must not know events.

mod context;
mod json;
mod kept_lines;
mod spans;
mod text;

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::call_lines;
use crate::config::{LogConfig, LogFormat, LogOutput};
use crate::traces;

pub use context::{Guard, LogContext};
pub use json::fatal_line;
pub use kept_lines::{keep_lines, lines_json};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `LOG_LEVEL` is not a filter.
    #[error("the log filter is unusable: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A subscriber is installed already.
    #[error("logging is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Installs the process's subscriber, with the export of spans if traces are on. `service` is the name of the service in
/// upper case, say `PROXY`: text lines have `[PROXY] ` right before the message, JSON objects a member `service`.
pub fn init(service: &'static str, config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().parse(&config.filter)?;
    call_lines::set_mode(config.calls);
    if let Some(spans) = traces::layer() {
        let logged = filter_fn(|metadata| !traces::is_exported(metadata) && quiet_dependencies(metadata));
        let log = log_layer(service, config).with_filter(filter.and(logged));
        tracing_subscriber::registry().with(spans).with(log).try_init()?;
    } else {
        let log = log_layer(service, config).with_filter(filter_fn(quiet_dependencies));
        tracing_subscriber::registry().with(filter).with(log).try_init()?;
    }
    Ok(())
}

fn log_layer<S>(service: &'static str, config: &LogConfig) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let (writer, is_terminal) = match config.output {
        LogOutput::Stderr => (BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal()),
        LogOutput::Stdout => (BoxMakeWriter::new(std::io::stdout), std::io::stdout().is_terminal()),
    };
    let colours = if is_terminal { text::Colours::On } else { text::Colours::Off };
    let layer =
        tracing_subscriber::fmt::layer().with_writer(kept_lines::KeepingWriter(writer)).with_ansi(false);
    match config.format {
        LogFormat::Text => layer.event_format(text::TextFormat { service, colours }).boxed(),
        LogFormat::Json => layer.event_format(json::JsonFormat { service }).boxed(),
    }
}

/// Libraries that log the messages that they send and receive.
const NOISY_CRATES: [&str; 8] =
    ["tungstenite", "tokio_tungstenite", "hyper", "hyper_util", "rustls", "h2", "tonic", "tower"];

/// Whether an event may be logged at all. Libraries that log whole messages at `trace`, which may hold a slave's code,
/// are limited to `info`, whatever `LOG_LEVEL` says.
fn quiet_dependencies(metadata: &tracing::Metadata<'_>) -> bool {
    let is_of = |library: &str| metadata.target().split("::").next() == Some(library);
    let is_noisy = NOISY_CRATES.into_iter().any(is_of);
    !is_noisy || *metadata.level() <= tracing::Level::INFO
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A writer that keeps everything for the test.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, act: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let layer = match format {
            LogFormat::Text => {
                let colours = text::Colours::Off;
                layer.event_format(text::TextFormat { service: "PROXY", colours }).boxed()
            }
            LogFormat::Json => layer.event_format(json::JsonFormat { service: "PROXY" }).boxed(),
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_lines_have_the_prefix_right_before_the_message() {
        let line = logged(LogFormat::Text, || {
            let span = tracing::info_span!("link", slave = "s1");
            let _entered = span.enter();
            tracing::warn!(code = 7, "Slave authenticated");
        });
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z') && time.contains('T'), "{line}");
        assert_eq!(rest, " WARN [PROXY] Slave authenticated code=7 link{slave=\"s1\"}\n");
    }

    #[test]
    fn json_objects_have_the_fields_of_the_event() {
        let line = logged(LogFormat::Json, || {
            let span = tracing::info_span!("link", slave = "s1");
            let _entered = span.enter();
            tracing::info!(port = 8000_u16, ok = true, level = "mine", error = %"bad\n", ratio = 0.5, "listening on {}", 1);
        });
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["level"], "INFO");
        assert_eq!(value["service"], "PROXY");
        assert_eq!(value["message"], "listening on 1");
        assert_eq!(value["port"], 8000);
        assert_eq!(value["ok"], true);
        assert_eq!(value["ratio"], 0.5);
        assert_eq!(value["error"], "bad\n");
        assert_eq!(value["fields.level"], "mine");
        assert_eq!(value["spans"][0], "link{slave=\"s1\"}");
        assert!(value["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn lines_of_a_call_have_its_ids_in_both_formats() {
        let context = LogContext::new(0xab << 64 | 0x12, Some(0x4bf9));
        let act = || {
            let _entered = context.enter();
            tracing::warn!(code = 7, "Forwarding (id: ab-12)");
        };
        let line = logged(LogFormat::Text, act);
        let ids = "request_id=ab-12 trace_id=00000000000000000000000000004bf9";
        assert!(line.ends_with(&format!("Forwarding (id: ab-12) code=7 {ids}\n")), "{line}");
        let value: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json, act)).unwrap();
        assert_eq!(value["request_id"], "ab-12");
        assert_eq!(value["trace_id"], "00000000000000000000000000004bf9");
        let bare = logged(LogFormat::Json, || tracing::info!("of no call"));
        assert!(!bare.contains("request_id"), "{bare}");
    }

    #[test]
    fn no_format_lets_a_hostile_character_through() {
        const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\u{202e}\u{200b}\u{e0041}\u{2028}\u{7f}\r\nb";
        let act = || {
            let span = tracing::info_span!("link", slave = HOSTILE, agent = %HOSTILE);
            let _entered = span.enter();
            tracing::info!(tool = %HOSTILE, quoted = HOSTILE, seen = ?HOSTILE, "said {HOSTILE}");
        };
        for format in [LogFormat::Text, LogFormat::Json] {
            let line = logged(format, act);
            let line = line.strip_suffix('\n').unwrap();
            assert!(!line.chars().any(crate::printable::is_escaped), "{line:?}");
            if format == LogFormat::Json {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!((&value["tool"], &value["quoted"]), (&HOSTILE.into(), &HOSTILE.into()));
            }
        }
    }

    #[test]
    fn a_fatal_error_is_one_json_line_whatever_it_says() {
        let line = fatal_line("PROXY", "two problems:\n  A\n  B\u{1b}[2J\u{202e}");
        assert!(!line.chars().any(|c| c == '\n' || crate::printable::is_escaped(c)), "{line:?}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["level"], &value["service"]), (&"ERROR".into(), &"PROXY".into()));
        assert_eq!(value["message"], "two problems:\n  A\n  B\u{1b}[2J\u{202e}");
        assert!(value["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_message_cannot_forge_a_line() {
        let line = logged(LogFormat::Text, || tracing::info!(tool = %"a\nb", "one\n[PROXY] two\u{1b}[31m"));
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}
