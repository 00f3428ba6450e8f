//! The thread that writes audit lines, as many at once as have come. What cannot be written is lost, counted, and said in
//! the stream itself as soon as it can be.

use std::io;
use std::sync::mpsc::Receiver;

use metrics::counter;
use tokio::sync::oneshot;

use super::line::Line;
use super::redact::Redaction;
use super::sink::Sink;
use super::{LINES, lost, still_lost, take_lost};

/// Bytes that are written at once, about.
const BATCH: usize = 64 * 1024;

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Write this.
    Line(Line),
    /// The file was moved away.
    Reopen,
    /// Nothing follows; say when everything is written.
    Finish(oneshot::Sender<()>),
}

pub(super) struct Writer {
    sink: Sink,
    redaction: Redaction,
    service: &'static str,
    /// Lines that are to be written.
    batch: Vec<u8>,
    /// The last write broke off within a line.
    torn: bool,
    /// The last write failed.
    failing: bool,
}

impl Writer {
    pub(super) fn new(sink: Sink, redaction: Redaction, service: &'static str) -> Self {
        let batch = Vec::with_capacity(BATCH);
        Self { sink, redaction, service, batch, torn: false, failing: false }
    }

    /// Until it is told to finish, or nobody is left who could.
    pub(super) fn run(mut self, inbox: &Receiver<Command>) {
        while let Ok(first) = inbox.recv() {
            let mut next = Some(first);
            while let Some(told) = next {
                match told {
                    Command::Line(line) => self.add(&line),
                    Command::Reopen => self.reopen(),
                    Command::Finish(done) => {
                        self.flush();
                        // Whoever asked has waited long enough.
                        let _ = done.send(());
                        return;
                    }
                }
                next = if self.batch.len() < BATCH { inbox.try_recv().ok() } else { None };
            }
            self.flush();
        }
    }

    fn add(&mut self, line: &Line) {
        line.write(&mut self.batch, self.service, &self.redaction);
        self.batch.push(b'\n');
    }

    fn reopen(&mut self) {
        self.flush();
        match self.sink.reopen() {
            Ok(()) => self.torn = false,
            Err(error) => {
                tracing::error!("AUDIT_LOG cannot be opened anew, the file of before is written on: {error}");
            }
        }
    }

    fn flush(&mut self) {
        let lost_before = take_lost();
        if lost_before > 0 {
            let line = Line::new("audit_lost").with("lines", lost_before);
            self.add(&line);
        }
        if self.batch.is_empty() {
            return;
        }
        let (written, result) = self.write();
        self.count(written, lost_before, result);
        self.batch.clear();
    }

    fn write(&mut self) -> (usize, io::Result<()>) {
        if self.torn {
            if let (_, Err(error)) = self.sink.write(b"\n") {
                return (0, Err(error));
            }
            self.torn = false;
        }
        self.sink.write(&self.batch)
    }

    /// `lost_before`: what the last line of the batch says, if that is more than none.
    fn count(&mut self, written: usize, lost_before: u64, result: io::Result<()>) {
        let (done, rest) = self.batch.split_at(written);
        let lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
        counter!(LINES, "outcome" => "written").increment(lines(done));
        self.torn |= done.last().is_some_and(|last| *last != b'\n');
        let Err(error) = result else {
            if std::mem::take(&mut self.failing) {
                tracing::info!("Audit lines are written again");
            }
            return;
        };
        // That line was told by nobody, and is to be told again.
        lost("failed", lines(rest).saturating_sub(u64::from(lost_before > 0)));
        still_lost(lost_before);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!("Audit lines are lost, AUDIT_LOG cannot be written: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use serde_json::Value;

    use super::*;
    use crate::config::AuditTarget;

    fn writer(target: &AuditTarget) -> Writer {
        Writer::new(Sink::open(target).unwrap(), Redaction::new(&[], None), "PROXY")
    }

    fn read(path: &std::path::Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_file_that_was_moved_away_is_written_on_until_the_writer_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let mut writer = writer(&AuditTarget::File(path.clone()));
        let mut write = |n: u64| {
            writer.add(&Line::new("x").with("n", n));
            if n == 3 {
                writer.reopen();
            }
            writer.flush();
        };
        write(1);
        std::fs::rename(&path, &moved).unwrap();
        write(2);
        assert!(!path.exists());
        write(3);
        write(4);
        let numbers = |path| read(path).iter().map(|line| line["n"].as_u64().unwrap()).collect::<Vec<_>>();
        assert_eq!((numbers(&moved), numbers(&path)), (vec![1, 2, 3], vec![4]));
    }

    #[test]
    fn everything_told_before_the_end_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let writer = writer(&AuditTarget::File(path.clone()));
        let (told, inbox) = sync_channel(5000);
        for n in 0..4000_u64 {
            told.send(Command::Line(Line::new("x").with("n", n))).unwrap();
        }
        let (done, mut written) = oneshot::channel();
        told.send(Command::Finish(done)).unwrap();
        writer.run(&inbox);
        assert!(written.try_recv().is_ok());
        assert_eq!(read(&path).len(), 4000);
    }

    #[test]
    fn a_full_disk_loses_lines_and_the_stream_says_how_many() {
        let mut writer = writer(&AuditTarget::File("/dev/full".into()));
        for _ in 0..3 {
            writer.add(&Line::new("x"));
        }
        writer.flush();
        assert!(writer.failing);
        writer.add(&Line::new("x"));
        writer.flush();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        writer.sink = Sink::open(&AuditTarget::File(path.clone())).unwrap();
        // As after a write that stopped within a line.
        std::fs::write(&path, "{}{").unwrap();
        writer.torn = true;
        writer.add(&Line::new("y"));
        writer.flush();
        assert!(!writer.failing && !writer.torn);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "{}{");
        assert!(lines[1].contains(r#""event":"y""#), "{text}");
        assert!(lines[2].ends_with(r#""event":"audit_lost","lines":4}"#), "{text}");
        assert_eq!(lines.len(), 3);
    }
}
