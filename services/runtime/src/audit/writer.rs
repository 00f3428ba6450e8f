//! The thread that writes audit lines in batches. Lines that cannot be written are lost, counted, and reported in the
//! stream itself as soon as writing succeeds again.

use std::io;
use std::sync::mpsc::Receiver;

use tokio::sync::oneshot;

use super::line::AuditLine;
use super::losses::{record_lost, record_written, restore_unreported, take_unreported};
use super::redact::Redaction;
use super::sink::Sink;
use crate::io_fault::describe;

/// Size of a batch, in bytes; the last line may exceed it.
const BATCH_BYTES: usize = 64 * 1024;

/// A command to the writer.
#[derive(Debug)]
pub(super) enum Command {
    /// Write a line.
    Line(AuditLine),
    /// Write a line, and answer whether the target took it.
    Confirm(AuditLine, oneshot::Sender<bool>),
    /// Reopen the file, which may have been moved.
    Reopen,
    /// Write everything, answer, and stop.
    Finish(oneshot::Sender<()>),
}

pub(super) struct Writer {
    sink: Sink,
    redaction: Redaction,
    service: &'static str,
    /// Encoded lines of the next write.
    batch: Vec<u8>,
    /// Whether the last write ended in the middle of a line.
    torn: bool,
    /// Whether the last write failed.
    failing: bool,
    /// Those who wait for the lines of the next write.
    waiting: Vec<oneshot::Sender<bool>>,
}

impl Writer {
    pub(super) fn new(sink: Sink, redaction: Redaction, service: &'static str) -> Self {
        let batch = Vec::with_capacity(BATCH_BYTES);
        Self { sink, redaction, service, batch, torn: false, failing: false, waiting: Vec::new() }
    }

    /// Runs until [`Command::Finish`], or until all senders are gone.
    pub(super) fn run(mut self, inbox: &Receiver<Command>) {
        while let Ok(first) = inbox.recv() {
            let mut next = Some(first);
            while let Some(command) = next {
                match command {
                    Command::Line(line) => self.add(&line),
                    Command::Confirm(line, done) => {
                        self.add(&line);
                        self.waiting.push(done);
                    }
                    Command::Reopen => self.reopen(),
                    Command::Finish(done) => {
                        self.flush();
                        // The receiver is gone if its time limit has passed.
                        let _ = done.send(());
                        return;
                    }
                }
                next = if self.batch.len() < BATCH_BYTES { inbox.try_recv().ok() } else { None };
            }
            self.flush();
        }
    }

    fn add(&mut self, line: &AuditLine) {
        line.write(&mut self.batch, self.service, &self.redaction);
        self.batch.push(b'\n');
    }

    fn reopen(&mut self) {
        self.flush();
        match self.sink.reopen() {
            Ok(()) => self.torn = false,
            Err(error) => {
                tracing::error!("AUDIT_LOG cannot be opened anew, the old file is written to: {error}");
            }
        }
    }

    fn flush(&mut self) {
        let lost_before = take_unreported();
        if lost_before > 0 {
            let line = AuditLine::new("audit_lost").with("lines", lost_before);
            self.add(&line);
        }
        if self.batch.is_empty() {
            return;
        }
        let (written, result) = self.write();
        let is_written = result.is_ok();
        self.count(written, lost_before, result);
        self.batch.clear();
        for done in self.waiting.drain(..) {
            // The receiver is gone if its time limit has passed.
            let _ = done.send(is_written);
        }
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

    /// Counts the lines of a write. `lost_before` is the number that the batch's last line reports, if it is not 0.
    fn count(&mut self, written: usize, lost_before: u64, result: io::Result<()>) {
        let (done, rest) = self.batch.split_at(written);
        let lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
        record_written(lines(done));
        self.torn |= done.last().is_some_and(|last| *last != b'\n');
        let Err(error) = result else {
            if std::mem::take(&mut self.failing) {
                tracing::info!("Audit lines are written again");
            }
            return;
        };
        // The report itself does not count as a lost line, and its number must be reported again.
        record_lost("failed", lines(rest).saturating_sub(u64::from(lost_before > 0)));
        restore_unreported(lost_before);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!("Audit lines are lost, AUDIT_LOG cannot be written: {}", describe(&error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use serde_json::Value;

    use super::*;
    use crate::config::AuditTarget;

    /// Lost lines are counted for the whole process, and reported by the next writer: one test at a time.
    static ONE_AT_A_TIME: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

    fn writer(target: &AuditTarget) -> Writer {
        Writer::new(Sink::open(target).unwrap(), Redaction::new(&[], None), "PROXY")
    }

    fn read(path: &std::path::Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_moved_file_is_written_to_until_the_writer_reopens_it() {
        let _alone = ONE_AT_A_TIME.lock();
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let mut writer = writer(&AuditTarget::File(path.clone()));
        let mut write = |n: u64| {
            writer.add(&AuditLine::new("x").with("n", n));
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
    fn every_line_sent_before_the_end_is_written() {
        let _alone = ONE_AT_A_TIME.lock();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let writer = writer(&AuditTarget::File(path.clone()));
        let (commands, inbox) = sync_channel(5000);
        for n in 0..4000_u64 {
            commands.send(Command::Line(AuditLine::new("x").with("n", n))).unwrap();
        }
        let (done, mut written) = oneshot::channel();
        commands.send(Command::Finish(done)).unwrap();
        writer.run(&inbox);
        assert!(written.try_recv().is_ok());
        assert_eq!(read(&path).len(), 4000);
    }

    #[test]
    fn whoever_waits_for_a_line_learns_whether_it_was_written() {
        let _alone = ONE_AT_A_TIME.lock();
        let folder = tempfile::tempdir().unwrap();
        // The second writer reports what the first one lost.
        for (path, expected) in [("/dev/full".into(), false), (folder.path().join("audit"), true)] {
            let writer = writer(&AuditTarget::File(path));
            let (commands, inbox) = sync_channel(8);
            let (done, mut written) = oneshot::channel();
            commands.send(Command::Line(AuditLine::new("x"))).unwrap();
            commands.send(Command::Confirm(AuditLine::new("y"), done)).unwrap();
            drop(commands);
            writer.run(&inbox);
            assert_eq!(written.try_recv(), Ok(expected));
        }
    }

    #[test]
    fn a_full_disk_loses_lines_and_the_stream_reports_how_many() {
        let _alone = ONE_AT_A_TIME.lock();
        let mut writer = writer(&AuditTarget::File("/dev/full".into()));
        for _ in 0..3 {
            writer.add(&AuditLine::new("x"));
        }
        writer.flush();
        assert!(writer.failing);
        writer.add(&AuditLine::new("x"));
        writer.flush();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        writer.sink = Sink::open(&AuditTarget::File(path.clone())).unwrap();
        // The state after a write that ended in the middle of a line.
        std::fs::write(&path, "{}{").unwrap();
        writer.torn = true;
        writer.add(&AuditLine::new("y"));
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
