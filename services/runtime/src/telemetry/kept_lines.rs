//! The last lines of the log, kept in memory for the status page, as they were written: redacted and escaped like the log itself. Of bounded
//! size. Must not know events.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::OnceLock;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Lines that are kept.
const MAX_LINES: usize = 1000;

/// Bytes of all lines that are kept.
const MAX_BYTES: usize = 1024 * 1024;

/// Bytes of one line that are kept.
const MAX_LINE: usize = 8 * 1024;

/// The lines of this process, once [`keep_lines`] was called.
static LINES: OnceLock<Mutex<KeptLines>> = OnceLock::new();

/// Keeps the last lines of the log from now on. Must be called before [`super::init`].
pub fn keep_lines() {
    LINES.get_or_init(Mutex::default);
}

/// Returns the kept lines as JSON, oldest first, each with its number and level; `enabled` is false where none are kept.
pub fn lines_json() -> Value {
    LINES.get().map_or_else(|| json!({ "enabled": false }), |lines| lines.lock().to_json())
}

/// A line of the log.
struct Line {
    level: Level,
    text: String,
}

/// The last lines.
#[derive(Default)]
struct KeptLines {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Number of lines that were kept once and are no more.
    dropped: u64,
}

impl KeptLines {
    fn add(&mut self, level: Level, text: String) {
        self.bytes += text.len();
        self.lines.push_back(Line { level, text });
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.text.len();
            self.dropped += 1;
        }
    }

    fn to_json(&self) -> Value {
        let line = |(number, line): (u64, &Line)| json!({ "number": number, "level": line.level.as_str().to_lowercase(), "text": line.text });
        let list: Vec<Value> = (self.dropped + 1..).zip(&self.lines).map(line).collect();
        json!({ "enabled": true, "total": self.dropped + list.len() as u64, "dropped": self.dropped, "list": list })
    }
}

/// Returns the form in which a written line is kept: without the colour of its level, on one line and not too long.
fn kept_text(written: &[u8]) -> String {
    let text = String::from_utf8_lossy(written);
    let mut rest = text.trim_end_matches('\n');
    let mut kept = String::with_capacity(rest.len().min(MAX_LINE));
    // Escapes in a line are those of its level: all others are written as text.
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        kept.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    if kept.len() > MAX_LINE {
        kept.truncate(kept.floor_char_boundary(MAX_LINE));
        kept.push('…');
    }
    kept
}

/// The log's writer, which also keeps what it writes.
pub(super) struct KeepingWriter(pub(super) BoxMakeWriter);

/// The writer of one line.
pub(super) struct LineWriter<W> {
    to: W,
    level: Level,
}

impl<'a> MakeWriter<'a> for KeepingWriter {
    type Writer = LineWriter<<BoxMakeWriter as MakeWriter<'a>>::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter { to: self.0.make_writer(), level: Level::INFO }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        LineWriter { to: self.0.make_writer_for(metadata), level: *metadata.level() }
    }
}

impl<W: Write> Write for LineWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    // The formatter hands over a line as a whole.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(lines) = LINES.get() {
            lines.lock().add(self.level, kept_text(bytes));
        }
        self.to.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn lines_and_bytes_are_bounded_and_numbers_go_on() {
        let mut kept = KeptLines::default();
        for number in 0..MAX_LINES + 5 {
            kept.add(Level::WARN, number.to_string());
        }
        let json = kept.to_json();
        let list = json["list"].as_array().unwrap();
        assert_eq!((list.len(), &json["dropped"]), (MAX_LINES, &json!(5)));
        assert_eq!(list[0], json!({ "number": 6, "level": "warn", "text": "5" }));
        for _ in 0..MAX_LINES {
            kept.add(Level::INFO, "x".repeat(MAX_LINE));
        }
        assert!(kept.bytes <= MAX_BYTES && kept.lines.len() == MAX_BYTES / MAX_LINE, "{}", kept.lines.len());
        assert_eq!(kept.bytes, kept.lines.iter().map(|line| line.text.len()).sum::<usize>());
    }

    #[test]
    fn a_line_is_kept_without_colour_and_not_too_long() {
        assert_eq!(kept_text(b"t \x1b[33m WARN\x1b[0m [PROXY] hello\n"), "t  WARN [PROXY] hello");
        let long = kept_text("ä".repeat(MAX_LINE).as_bytes());
        assert!(long.len() <= MAX_LINE + '…'.len_utf8() && long.ends_with("ä…"), "{}", long.len());
    }

    #[test]
    fn what_the_log_writes_is_kept_with_its_level() {
        assert_eq!(lines_json(), json!({ "enabled": false }), "nothing is kept unasked");
        keep_lines();
        let writer = KeepingWriter(BoxMakeWriter::new(io::sink));
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
        let layer = layer.event_format(super::super::json::JsonFormat { service: "PROXY" });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::error!("one\u{1b}[2J");
            tracing::debug!("two");
        });
        let json = lines_json();
        let of =
            |number: usize| (json["list"][number]["level"].clone(), json["list"][number]["text"].to_string());
        assert_eq!((of(0).0, of(1).0, &json["total"]), (json!("error"), json!("debug"), &json!(2)));
        assert!(of(0).1.contains("one") && !json.to_string().contains('\u{1b}'), "{json}");
    }
}
